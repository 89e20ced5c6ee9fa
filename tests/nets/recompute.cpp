// Recomputed blocks against everything kept.
#include "graph/recompute.hpp"

#include <algorithm>
#include <map>

#include "base/philox.hpp"
#include "graph/program.hpp"
#include "nets/freezing.hpp"
#include "nets/network.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

config::Model small_model(const std::string& name, const std::string& norm) {
    config::Model model;
    model.name = name;
    model.encoder = name == "duet" ? "resnet18" : "resnet50";
    model.encoder_width = 4;
    model.norm = norm;
    model.output_stride = 8;
    model.decoder_channels = 8;
    model.aspp_channels = 8;
    model.aspp_rates = {1, 2};
    model.dropout = 0.3;
    model.vit = {.patch = 8, .depth = 4, .width = 24, .heads = 3, .dropout = 0.2};
    model.diffusion.width = 8;
    model.diffusion.heads = 1;
    return model;
}

nets::NetworkInputs small_inputs() {
    return {.modalities = {{"optical", 3, 1}, {"height", 1, 2}},
            .classes = 4,
            .batch = 2,
            .height = 32,
            .width = 32};
}

/// Parameters, gradients, states and loss after two steps with other random numbers each.
std::vector<std::vector<std::byte>> trained(const config::Model& model, graph::Recompute recompute,
                                            const std::vector<std::string>& frozen = {}) {
    const auto backend = ref::make_ref_backend();
    graph::Graph network = nets::build_network(model, {}, small_inputs(), nets::Task::train, DType::f32);
    nets::freeze(network, model, frozen, std::nullopt);
    device::SingleRank alone;
    graph::ParameterStore store(*backend, network);
    graph::Program program(
        graph::plan_program(network, *backend,
                            {.checks = graph::MemoryChecks::guards, .recompute = recompute}),
        *backend, store, alone);
    store.initialise(5);
    for (const auto& entry : store.entries()) {  // no norm scale at zero, or blocks would pass nothing on
        PhiloxStream random(4, stream_of(entry.name));
        if (entry.shape.rank() != 1) continue;
        for (float& value : store.parameter(entry).span<float>()) {
            value = static_cast<float>(0.5 + 0.3 * random.normal());
        }
    }
    program.parameters_changed();
    for (const graph::Value& input : network.values) {
        if (input.kind != graph::ValueKind::input || input.spec.dtype != DType::f32) continue;
        PhiloxStream random(1, stream_of(input.name));
        for (float& value : program.input(input.name).span<float>()) {
            value = input.name == "presence" ? 1.0f : static_cast<float>(random.normal());
        }
    }
    PhiloxStream random(2, 2);
    for (auto& label : program.input("labels").span<std::uint8_t>()) {
        label = static_cast<std::uint8_t>(random.below(4));
    }
    std::vector<std::vector<std::byte>> result;
    const auto keep = [&](const TensorView& view) {
        result.emplace_back(view.data, view.data + view.bytes());
    };
    for (int step = 0; step < 2; ++step) {
        program.run_training({.seed = 9, .step = step, .first_sample = 0}, {.first = step == 0});
        const double sum = program.losses().sum;
        CHECK(sum > 0);
        result.emplace_back(reinterpret_cast<const std::byte*>(&sum),
                            reinterpret_cast<const std::byte*>(&sum) + sizeof(sum));
        keep(program.output("logits"));
    }
    for (const auto& entry : store.entries()) {
        if (entry.trainable == graph::Trainable::yes) keep(store.gradient(entry));
    }
    for (const auto& state : store.states()) keep(state.view());
    return result;
}

graph::ProgramPlan plan(const config::Model& model, device::Backend& backend, graph::Recompute recompute) {
    return graph::plan_program(nets::build_network(model, {}, small_inputs(), nets::Task::train, DType::f32),
                               backend, {.recompute = recompute});
}

}  // namespace

TEST_CASE("recomputed blocks give the bits of a program that keeps everything", "[nets]") {
    for (const char* name : {"duet", "pspnet", "deeplabv3", "setr_light", "setr_mla"}) {
        for (const char* norm : {"batch", "sync_batch", "group"}) {
            INFO(name << ", norm " << norm);
            const config::Model model = small_model(name, norm);
            CHECK(trained(model, graph::Recompute::blocks) == trained(model, graph::Recompute::none));
        }
    }
}

TEST_CASE("frozen norms within recomputed blocks read their running statistics in both runs", "[nets]") {
    const config::Model model = small_model("pspnet", "batch");
    const std::vector<std::string> norms{R"(^backbone\..*(bn\d|stem\.\d)\.(weight|bias)$)"};
    const auto again = trained(model, graph::Recompute::blocks, norms);
    CHECK(again == trained(model, graph::Recompute::none, norms));
    CHECK(again != trained(model, graph::Recompute::none));
}

TEST_CASE("recomputed blocks give the bits of pkdiff's pass, in a smaller arena", "[nets]") {
    for (const char* cadef : {"self", "dual"}) {
        config::Model model = small_model("pkdiff", "group");
        model.diffusion.cadef = cadef;
        CHECK(trained(model, graph::Recompute::blocks) == trained(model, graph::Recompute::none));
        const auto backend = ref::make_ref_backend();
        const auto arena = [&](graph::Recompute recompute) {
            return static_cast<double>(plan(model, *backend, recompute).arena.bytes);
        };
        CHECK(arena(graph::Recompute::blocks) < 0.7 * arena(graph::Recompute::none));
    }
}

TEST_CASE("no node runs forward more than twice, and outside blocks once", "[nets]") {
    const auto backend = ref::make_ref_backend();
    const graph::ProgramPlan with = plan(small_model("pspnet", "batch"), *backend, graph::Recompute::blocks);
    std::map<int, int> runs;
    for (const graph::Step& step : with.schedule.steps) {
        if (const auto* forward = std::get_if<graph::ForwardStep>(&step)) ++runs[forward->node];
    }
    int twice = 0;
    for (const auto& [node, count] : runs) {
        CHECK(count <= 2);
        if (count == 1) continue;
        CHECK(with.graph.nodes[static_cast<std::size_t>(node)].block >= 0);
        ++twice;
    }
    CHECK(twice > 40);
    const graph::ProgramPlan without = plan(small_model("pspnet", "batch"), *backend, graph::Recompute::none);
    for (const bool again : without.schedule.recomputation.nodes) CHECK_FALSE(again);
}

TEST_CASE("a synchronised norm that runs again sends nothing again", "[nets]") {
    const auto backend = ref::make_ref_backend();
    const auto exchanges = [&](graph::Recompute recompute) {
        const graph::ProgramPlan made = plan(small_model("duet", "sync_batch"), *backend, recompute);
        return std::count_if(
            made.schedule.steps.begin(), made.schedule.steps.end(),
            [](const graph::Step& step) { return std::holds_alternative<graph::ExchangeStep>(step); });
    };
    CHECK(exchanges(graph::Recompute::blocks) == exchanges(graph::Recompute::none));
}

TEST_CASE("the arenas of ResNet-50 at stride 8 and of ViT-B shrink to 60 % or less", "[nets]") {
    const auto backend = ref::make_ref_backend();
    const auto [name, edge] = GENERATE(table<std::string, std::int64_t>(
        {{"pspnet", 256}, {"duet", 256}, {"setr_light", 224}, {"setr_mla", 224}}));
    config::Model model;
    model.name = name;
    model.encoder = "resnet50";
    model.output_stride = 8;
    nets::NetworkInputs inputs = small_inputs();
    inputs.batch = 1;
    inputs.height = inputs.width = edge;
    const auto bytes = [&](graph::Recompute recompute) {
        return static_cast<double>(
            graph::plan_program(nets::build_network(model, {}, inputs, nets::Task::train, DType::f32),
                                *backend, {.recompute = recompute})
                .arena.bytes);
    };
    const double ratio = bytes(graph::Recompute::blocks) / bytes(graph::Recompute::none);
    INFO(name << ": " << ratio);
    CHECK(ratio <= 0.6);
}
