#include "graph/split.hpp"

#include <algorithm>

#include "nets/freezing.hpp"
#include "nets/network.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

graph::Graph frozen_network(config::Model model, const std::vector<std::string>& expressions = {}) {
    model.encoder_width = 8;
    model.vit = {.depth = 4, .width = 24, .heads = 3};
    graph::Graph graph = nets::build_network(model, {},
                                             {.modalities = {{"optical", 3, 1}, {"height", 1, 2}},
                                              .classes = 3,
                                              .batch = 2,
                                              .height = 64,
                                              .width = 64},
                                             nets::Task::train, DType::f32);
    nets::freeze(graph, model, expressions, std::nullopt);
    return graph;
}

std::vector<std::string> parameters_of(const graph::Graph& graph, graph::Trainable trainable) {
    std::vector<std::string> names;
    for (const graph::Value& value : graph.values) {
        if (value.kind == graph::ValueKind::parameter && value.trainable == trainable)
            names.push_back(value.name);
    }
    return names;
}

bool any_begins(const std::vector<std::string>& names, std::string_view prefix) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.starts_with(prefix); });
}

}  // namespace

TEST_CASE("a frozen encoder is cut off at the blocks that the decoder reads", "[nets]") {
    config::Model model;
    model.name = "setr_light";
    model.frozen = "encoder";
    const graph::Graph whole = frozen_network(model);
    const graph::FrozenSplit split = graph::split_at_frozen(whole);
    CHECK(split.features ==
          std::vector<std::string>{"blocks.0.ffn.sum", "blocks.2.ffn.sum", "blocks.3.ffn.sum"});
    CHECK(split.constant.mode == device::Mode::inference);
    CHECK(split.constant.losses.empty());
    CHECK(parameters_of(split.constant, graph::Trainable::yes).empty());
    CHECK(any_begins(parameters_of(split.constant, graph::Trainable::no), "blocks.3."));
    CHECK(parameters_of(split.rest, graph::Trainable::no).empty());
    // Gradients keep their places: the trained parameters in the same order.
    const auto order = [](const graph::Graph& graph) {
        std::vector<std::string> names;
        for (const graph::ValueId id : graph::parameters_by_completion(graph)) {
            if (graph.value(id).trainable == graph::Trainable::yes) names.push_back(graph.value(id).name);
        }
        return names;
    };
    CHECK(order(split.rest) == order(whole));
    CHECK(split.constant.nodes.size() + split.rest.nodes.size() == whole.nodes.size());
}

TEST_CASE("what is frozen behind something trained stays in the rest", "[nets]") {
    config::Model model;
    model.name = "duet";
    model.frozen = "encoder";
    const graph::FrozenSplit split = graph::split_at_frozen(frozen_network(model));
    CHECK_FALSE(split.features.empty());
    const auto constant = parameters_of(split.constant, graph::Trainable::no);
    const auto rest = parameters_of(split.rest, graph::Trainable::no);
    // The gates join the modalities right behind the stems.
    CHECK(any_begins(constant, "encoder.optical.conv1"));
    CHECK_FALSE(any_begins(constant, "encoder.optical.layer1"));
    CHECK(any_begins(rest, "encoder.optical.layer1"));
    CHECK_FALSE(any_begins(rest, "encoder.optical.conv1"));
}

TEST_CASE("nothing is cut off without frozen parameters or behind dropout that is on", "[nets]") {
    config::Model model;
    model.name = "setr_light";
    const graph::Graph trained = frozen_network(model);
    CHECK(graph::split_at_frozen(trained).features.empty());
    CHECK(graph::split_at_frozen(trained).rest.nodes.size() == trained.nodes.size());
    model.frozen = "encoder";
    model.frozen_dropout = true;
    const graph::FrozenSplit split = graph::split_at_frozen(frozen_network(model));
    // The patches and positions are before the first dropout.
    for (const std::string& name : split.features) CHECK_FALSE(name.ends_with(".sum"));
}
