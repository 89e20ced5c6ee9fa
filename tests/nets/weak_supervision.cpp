// The network of weak supervision and how loss terms over several maps become ops.
#include "config/weak_maps.hpp"
#include "graph/program_plan.hpp"
#include "nets/network.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

config::LossTerm term(const std::string& name, const std::string& target, double weight = 1) {
    config::LossTerm result;
    result.name = name;
    result.target = target;
    result.weight = weight;
    return result;
}

config::Loss five_terms() {
    config::Loss loss;
    loss.terms = {term("cross_entropy", "scribble"), term("cross_entropy", "pseudo", 0.5),
                  term("distance_entropy", "scribble"), term("distance_entropy", "pseudo"),
                  term("rectification", "pseudo", 2)};
    loss.terms[1].label_smoothing = 0.1;
    return loss;
}

nets::NetworkInputs inputs_of(std::int64_t classes, std::int64_t size) {
    return {.modalities = {{"optical", 3, 1}}, .classes = classes, .batch = 2, .height = size, .width = size};
}

graph::Graph network(std::int64_t classes, const config::Loss& loss, nets::Task task = nets::Task::train,
                     std::int64_t size = 65) {
    config::Model model;
    model.name = "res50_aspp_lorm";
    return nets::build_network(model, loss, inputs_of(classes, size), task, DType::f32);
}

std::int64_t parameters(const graph::Graph& graph, const std::string& prefix = "") {
    std::int64_t count = 0;
    for (const graph::Value& value : graph.values) {
        if (value.kind == graph::ValueKind::parameter && value.name.starts_with(prefix))
            count += value.spec.shape.elements();
    }
    return count;
}

const graph::Node& node(const graph::Graph& graph, const std::string& name) {
    for (const graph::Node& one : graph.nodes) {
        if (one.name == name) return one;
    }
    FAIL("no node " << name);
    throw std::logic_error(name);
}

const graph::Value& value(const graph::Graph& graph, const std::string& name) {
    for (const graph::Value& one : graph.values) {
        if (one.name == name) return one;
    }
    FAIL("no value " << name);
    throw std::logic_error(name);
}

std::vector<std::string> byte_inputs(const graph::Graph& graph) {
    std::vector<std::string> names;
    for (const graph::Value& one : graph.values) {
        if (one.kind == graph::ValueKind::input && one.spec.dtype == DType::u8) names.push_back(one.name);
    }
    return names;
}

}  // namespace

TEST_CASE("res50_aspp_lorm has exactly the published numbers of parameters", "[nets]") {
    const graph::Graph full = network(21, five_terms());
    CHECK(parameters(full) == 33'150'426);
    CHECK(parameters(full, "layer_pred0.") == 1'249'689);
    CHECK(parameters(full, "layer_camatt.") == 8'392'705);
    CHECK(parameters(full) - parameters(full, "layer_pred0.") - parameters(full, "layer_camatt.") ==
          23'508'032);
    CHECK(parameters(network(6, five_terms())) == 32'257'341);
    CHECK(parameters(network(7, five_terms())) == 32'316'810);
    // Without its term the module is not built, nor where nothing is trained.
    CHECK(parameters(network(21, {})) == 24'757'721);
    CHECK(parameters(network(21, five_terms(), nets::Task::predict)) == 24'757'721);
    CHECK(parameters(network(21, five_terms(), nets::Task::evaluate)) == 24'757'721);
    for (const graph::Value& one : full.values) {
        if (one.kind == graph::ValueKind::parameter)
            CHECK(nets::exists_only_in_training(one.name) == one.name.starts_with("layer_camatt."));
    }
}

TEST_CASE("res50_aspp_lorm has the published maps and dilations", "[nets]") {
    const graph::Graph graph = network(21, five_terms(), nets::Task::train, 465);
    CHECK(value(graph, "bn1").spec.shape == Shape{2, 233, 233, 64});
    CHECK(value(graph, "maxpool").spec.shape == Shape{2, 117, 117, 64});
    CHECK(value(graph, "layer1.2.bn3").spec.shape == Shape{2, 117, 117, 256});
    CHECK(value(graph, "layer2.3.bn3").spec.shape == Shape{2, 59, 59, 512});
    CHECK(value(graph, "layer4.2.bn3").spec.shape == Shape{2, 59, 59, 2048});
    CHECK(value(graph, "layer_pred0.bn1").spec.shape == Shape{2, 59, 59, 21});
    const auto convolution = [&](const std::string& name) {
        return std::get<ops::Convolution>(node(graph, name).op);
    };
    CHECK(convolution("layer2.0.conv1").stride == 2);
    CHECK(convolution("layer2.0.conv2").stride == 1);
    CHECK(convolution("layer3.0.conv2").dilation == 2);
    CHECK(convolution("layer4.0.conv2").dilation == 4);
    CHECK(convolution("layer4.2.conv2").dilation == 16);
    CHECK(convolution("layer_pred0.aspp1.atrous_conv").kernel == 1);
    CHECK(convolution("layer_pred0.aspp4.atrous_conv").dilation == 24);
    CHECK(std::get<ops::BatchNorm>(node(graph, "layer_pred0.bn1").op).rectify == ops::Rectify::no);
    CHECK(std::get<ops::Resize>(node(graph, "layer_pred0.global_avg_pool.spread").op).corners ==
          ops::Corners::align_corners);
}

// Multiply-adds at 465 x 465: 88.5 G without the module, 78.8 G for it; LoRM's own two products are counted
// once.
TEST_CASE("res50_aspp_lorm takes the published number of multiply-adds within a percent", "[nets]") {
    const auto multiply_adds = [](const graph::Graph& graph, std::int64_t batch) {
        double flops = 0;
        for (const graph::Node& one : graph.nodes) flops += ops::cost_of(graph.descriptor(one)).flops;
        return flops / 2 / static_cast<double>(batch);
    };
    const double plain = multiply_adds(network(21, five_terms(), nets::Task::predict, 465), 2);
    CHECK(plain == Approx(88.5e9).epsilon(0.01));
    CHECK(multiply_adds(network(21, five_terms(), nets::Task::train, 465), 2) - plain ==
          Approx(78.8e9).epsilon(0.01));
}

TEST_CASE("every term becomes a node that reads its own map and is a mean of its own", "[nets]") {
    config::Model model;
    model.name = "res50_aspp_lorm";
    model.encoder_width = 8;
    nets::NetworkInputs inputs = inputs_of(4, 33);
    inputs.background = 0;
    const graph::Graph graph =
        nets::build_network(model, five_terms(), inputs, nets::Task::train, DType::f32);
    CHECK(byte_inputs(graph) ==
          std::vector<std::string>{"labels", "scribble", "pseudo", "scribble_distance", "pseudo_distance"});
    const auto map_of = [&](const std::string& name, std::size_t input = 1) {
        return graph.value(node(graph, name).inputs[input]).name;
    };
    CHECK(map_of("loss.cross_entropy_scribble") == "scribble");
    CHECK(map_of("loss.cross_entropy_pseudo") == "pseudo");
    CHECK(map_of("loss.distance_entropy_scribble") == "scribble_distance");
    CHECK(map_of("loss.distance_entropy_pseudo") == "pseudo_distance");
    CHECK(map_of("loss.rectification_pseudo", 4) == "pseudo");
    CHECK(map_of("loss.rectification_pseudo", 0) == "layer4.2.bn3");
    const auto& smoothed = std::get<ops::CrossEntropy>(node(graph, "loss.cross_entropy_pseudo").op);
    CHECK(smoothed.label_smoothing == 0.1);
    CHECK(smoothed.loss_weight == 0.5);
    CHECK(smoothed.denominator == ops::Denominator::samples);
    CHECK(smoothed.corners == ops::Corners::align_corners);
    CHECK(std::get<ops::CrossEntropy>(node(graph, "loss.cross_entropy_scribble").op).label_smoothing == 0);
    const auto& rectified =
        std::get<ops::LocalizationRectification>(node(graph, "loss.rectification_pseudo").op);
    CHECK(rectified.background == 0);
    CHECK(rectified.loss_weight == 2);
    CHECK(graph.losses.size() == 5);
    for (const graph::Value& one : graph.values) {
        if (one.kind == graph::ValueKind::parameter) CHECK(one.trainable == graph::Trainable::yes);
    }
}

TEST_CASE("terms over a single map keep the mean over all ranks and micro-steps", "[nets]") {
    config::Loss loss;
    loss.terms = {term("cross_entropy", "scribble"), term("dice", "scribble")};
    CHECK_FALSE(config::looks_at_several_maps(loss));
    const graph::Graph graph = network(4, loss);
    CHECK(std::get<ops::CrossEntropy>(node(graph, "loss.cross_entropy_scribble").op).denominator ==
          ops::Denominator::valid);
    CHECK(byte_inputs(graph) == std::vector<std::string>{"labels", "scribble"});
}

TEST_CASE("evaluation scores against labels and needs no other map", "[nets]") {
    const graph::Graph graph = network(4, five_terms(), nets::Task::evaluate);
    CHECK(byte_inputs(graph) == std::vector<std::string>{"labels"});
    REQUIRE(graph.losses.size() == 1);
    CHECK(graph.value(graph.losses[0]).name == "loss.cross_entropy");
    config::Loss mixed = five_terms();
    mixed.terms.push_back(term("focal", "label"));
    const graph::Graph scored = network(4, mixed, nets::Task::evaluate);
    REQUIRE(scored.losses.size() == 1);
    CHECK(scored.value(scored.losses[0]).name == "loss.focal");
}

TEST_CASE("what res50_aspp_lorm can't do is refused with its reason", "[nets]") {
    config::Model model;
    model.name = "res50_aspp_lorm";
    nets::NetworkInputs inputs = inputs_of(4, 33);
    const auto build = [&] { nets::build_network(model, {}, inputs, nets::Task::train, DType::f32); };
    inputs.batch = 1;
    CHECK_THROWS_WITH(build(), test::contains("one sample per rank"));
    model.norm = "sync_batch";
    CHECK_NOTHROW(build());
    model.atrous.grid = {1, 2};
    CHECK_THROWS_WITH(build(), test::contains("model.atrous.grid"));
    model = {};
    CHECK_THROWS_WITH(nets::build_network(model, five_terms(), inputs, nets::Task::train, DType::f32),
                      test::contains("rectification"));
}

TEST_CASE("weak losses name their maps, each once, and the map whose classes count", "[nets]") {
    CHECK(config::weak_maps_of(five_terms()) ==
          std::vector<std::string>{"scribble", "pseudo", "scribble_distance", "pseudo_distance"});
    CHECK(config::weak_maps_of({}).empty());
    CHECK(config::counted_map(five_terms()) == "scribble");
    config::Loss loss;
    loss.terms = {term("distance_entropy", "scribble"), term("cross_entropy", "pseudo")};
    CHECK(config::counted_map(loss) == "pseudo");
    CHECK(config::weak_maps_of(loss) == std::vector<std::string>{"pseudo", "scribble_distance"});
    loss.terms.push_back(term("dice", "label"));
    CHECK(config::counted_map(loss) == "labels");
}
