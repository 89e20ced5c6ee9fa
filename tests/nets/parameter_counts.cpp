#include "nets/network.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

struct Published {
    std::string network;
    std::string encoder;
    std::int64_t classes;
    nets::Task task;
    std::int64_t parameters;
};

graph::Graph network_on_three_bands(const config::Model& model, std::int64_t classes, nets::Task task) {
    const nets::NetworkInputs inputs{
        .modalities = {{"optical", 3, 1}}, .classes = classes, .batch = 2, .height = 64, .width = 64};
    return nets::build_network(model, {}, inputs, task, DType::f32);
}

std::int64_t parameter_count(const graph::Graph& network) {
    std::int64_t count = 0;
    for (const graph::Value& value : network.values) {
        if (value.kind == graph::ValueKind::parameter) count += value.spec.shape.elements();
    }
    return count;
}

}  // namespace

// The counts of MMSegmentation's networks of these names (its tool prints 48.98 M for the first).
TEST_CASE("networks have exactly the published numbers of parameters", "[nets]") {
    const auto published = GENERATE(values<Published>({
        {"pspnet", "auto", 19, nets::Task::train, 48'975'494},
        {"pspnet", "auto", 6, nets::Task::train, 48'965'484},
        {"pspnet", "auto", 7, nets::Task::train, 48'966'254},
        {"pspnet", "resnet50", 19, nets::Task::predict, 46'610'803},
        {"pspnet", "resnet101", 19, nets::Task::train, 67'967'622},
        {"deeplabv3", "auto", 19, nets::Task::train, 68'113'030},
    }));
    config::Model model;
    model.name = published.network;
    model.encoder = published.encoder;
    CAPTURE(published.network, published.encoder, published.classes);
    CHECK(parameter_count(network_on_three_bands(model, published.classes, published.task)) ==
          published.parameters);
}

TEST_CASE("the auxiliary head adds a quarter-width head on stage 3 and exists only in training", "[nets]") {
    config::Model model;
    model.name = "pspnet";
    const graph::Graph training = network_on_three_bands(model, 19, nets::Task::train);
    CHECK(training.losses.size() == 2);
    std::int64_t auxiliary = 0;
    for (const graph::Value& value : training.values) {
        if (value.kind != graph::ValueKind::parameter) continue;
        CHECK(nets::exists_only_in_training(value.name) == value.name.starts_with("auxiliary_head"));
        if (nets::exists_only_in_training(value.name)) auxiliary += value.spec.shape.elements();
    }
    CHECK(auxiliary == 2'364'691);
    for (const nets::Task task : {nets::Task::evaluate, nets::Task::predict}) {
        for (const graph::Value& value : network_on_three_bands(model, 19, task).values) {
            CHECK_FALSE(nets::exists_only_in_training(value.name));
        }
    }
    model.pyramid.auxiliary_weight = 0;
    CHECK(parameter_count(network_on_three_bands(model, 19, nets::Task::train)) == 46'610'803);
}

// Multiply-adds of MMSegmentation's networks, batch 1; `inspect` prints twice as many operations.
TEST_CASE("networks take the published number of multiply-adds, the small layers included within a percent",
          "[nets]") {
    struct Work {
        std::string network;
        std::string encoder;
        std::int64_t width;
        nets::Task task;
        double multiply_adds;
    };
    const auto work = GENERATE(values<Work>({
        {"pspnet", "resnet50", 512, nets::Task::predict, 178.3e9},
        {"pspnet", "resnet50", 512, nets::Task::train, 188.0e9},
        {"pspnet", "resnet101", 1024, nets::Task::train, 531.1e9},
        {"deeplabv3", "resnet50", 512, nets::Task::predict, 269.5e9},
    }));
    config::Model model;
    model.name = work.network;
    model.encoder = work.encoder;
    const nets::NetworkInputs inputs{
        .modalities = {{"optical", 3, 1}}, .classes = 19, .batch = 1, .height = 512, .width = work.width};
    const graph::Graph network = nets::build_network(model, {}, inputs, work.task, DType::f32);
    double flops = 0;
    for (const graph::Node& node : network.nodes) flops += ops::cost_of(network.descriptor(node)).flops;
    CAPTURE(work.network, work.encoder, work.multiply_adds);
    CHECK(flops / 2 == Approx(work.multiply_adds).epsilon(0.01));
}
