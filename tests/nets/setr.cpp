#include "graph/freeze.hpp"
#include "graph/parameter_store.hpp"
#include "graph/program_plan.hpp"
#include "nets/freezing.hpp"
#include "nets/network.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

config::Model called(const std::string& name) {
    config::Model model;
    model.name = name;
    return model;
}

/// Small enough to be planned and run in a test.
config::Model small(const std::string& name) {
    config::Model model = called(name);
    model.vit = {.depth = 4, .width = 24, .heads = 3};
    return model;
}

graph::Graph network(const config::Model& model, std::int64_t classes, std::int64_t size,
                     nets::Task task = nets::Task::train) {
    return nets::build_network(
        model, {},
        {.modalities = {{"optical", 3, 1}}, .classes = classes, .batch = 2, .height = size, .width = size},
        task, DType::f32);
}

std::int64_t parameters(const graph::Graph& graph, std::string_view prefix = "") {
    std::int64_t count = 0;
    for (const graph::Value& value : graph.values) {
        if (value.kind == graph::ValueKind::parameter && value.name.starts_with(prefix)) {
            count += value.spec.shape.elements();
        }
    }
    return count;
}

const graph::Value* parameter(const graph::Graph& graph, std::string_view name) {
    for (const graph::Value& value : graph.values) {
        if (value.kind == graph::ValueKind::parameter && value.name == name) return &value;
    }
    return nullptr;
}

}  // namespace

TEST_CASE("setr_light has VesselSETR's parameters", "[nets]") {
    graph::Graph graph = network(called("setr_light"), 2, 224);
    CHECK(parameters(graph) == 86'277'826);
    CHECK(parameters(graph, "decoder.") == 332'928);
    CHECK(parameters(graph, "mla_projs.") == 147'648);
    CHECK(parameters(graph, "head.") == 130);
    CHECK(parameter(graph, "pos_embed")->spec.shape == Shape{1, 196, 768});
    CHECK(parameter(graph, "patch_embed.proj.weight")->spec.shape == Shape{768, 16, 16, 3});
    CHECK(parameter(graph, "blocks.11.attn.qkv.weight")->spec.shape == Shape{2304, 768});
    CHECK(parameter(graph, "blocks.0.ffn.fc1.bias") != nullptr);
    CHECK(parameter(graph, "norm.weight") != nullptr);
    CHECK(parameter(graph, "decoder.12.weight") != nullptr);
    CHECK(parameter(graph, "decoder.13.bias") != nullptr);

    config::Model preset = called("setr_light");
    preset.vit.patch = 32;
    preset.vit.depth = 6;
    CHECK(parameters(network(preset, 2, 512)) == 45'584'610);

    config::Model frozen = called("setr_light");
    frozen.frozen = "encoder";
    nets::freeze(graph, frozen, {}, std::nullopt);
    CHECK(graph::count_trainable(graph).trainable == 480'706);
    CHECK(graph::count_trainable(graph).frozen == 85'797'120);
}

TEST_CASE("setr_mla has SETR-MLA's parameters for ViT-B", "[nets]") {
    graph::Graph two = network(called("setr_mla"), 2, 224);
    CHECK(parameters(two) == 90'735'874);
    CHECK(parameter(two, "backbone.pos_embed")->spec.shape == Shape{1, 197, 768});
    CHECK(parameter(two, "backbone.cls_token") != nullptr);
    CHECK(parameter(two, "backbone.blocks.0.mlp.fc1.weight") != nullptr);
    CHECK(parameter(two, "backbone.mla.mla_p2_1x1.1.weight") != nullptr);
    CHECK(parameter(two, "decode_head.mlahead.head5.4.bias") != nullptr);
    CHECK(parameter(two, "auxiliary_head.3.aux.weight")->spec.shape == Shape{2, 1, 1, 256});
    CHECK(two.losses.size() == 5);

    config::Model frozen = called("setr_mla");
    frozen.frozen = "encoder";
    nets::freeze(two, frozen, {}, std::nullopt);
    CHECK(graph::count_trainable(two).trainable == 4'938'754);

    graph::Graph six = network(called("setr_mla"), 6, 224);
    nets::freeze(six, frozen, {}, std::nullopt);
    CHECK(graph::count_trainable(six).trainable == 4'961'286);

    config::Model mmseg = called("setr_mla");
    mmseg.vit.head = "mmseg";
    const graph::Graph other = network(mmseg, 2, 224);
    CHECK(parameters(other, "decode_head.conv_seg.") == 1'026);
    CHECK(parameters(other, "auxiliary_head.") == 4 * (512 + 2));
    CHECK(parameters(network(mmseg, 2, 224, nets::Task::predict), "auxiliary_head.") == 0);
}

TEST_CASE("transformers refuse sizes that they have no positions for", "[nets]") {
    config::Model model = small("setr_light");
    model.vit.image = 64;
    CHECK_NOTHROW(network(model, 3, 64));
    CHECK_THROWS_WITH(network(model, 3, 96),
                      test::contains("positional embedding is that of 64 x 64 pixels"));
    model.vit.image = 0;
    CHECK_THROWS_WITH(network(model, 3, 72), test::contains("patches"));
    model.vit.heads = 5;
    CHECK_THROWS_WITH(network(model, 3, 64), test::contains("model.vit.heads"));
    model = small("setr_mla");
    model.vit.taps = {0, 4};
    CHECK_THROWS_WITH(network(model, 3, 64), test::contains("blocks 0, 4 of a transformer of 4"));
    model.vit.taps = {2, 1};
    CHECK_THROWS_AS(network(model, 3, 64), Error);
}

TEST_CASE("a frozen encoder needs no gradients, optimizer state, kept activations or buckets", "[nets]") {
    const std::string name = GENERATE("setr_light", "setr_mla", "duet");
    CAPTURE(name);
    config::Model model = small(name);
    model.norm = "batch";
    model.encoder_width = 8;
    model.frozen = "encoder";
    graph::Graph frozen = network(model, 3, 64);
    const nets::Frozen result = nets::freeze(frozen, model, {}, std::nullopt);
    CHECK(result.names.size() > 10);
    const auto backend = ref::make_ref_backend();
    const graph::ProgramPlan plan = graph::plan_program(frozen, *backend);
    const graph::ParameterStore store(*backend, frozen);

    std::vector<bool> is_encoder(plan.graph.values.size(), false);  // computed from frozen parameters only
    for (std::size_t n = 0; n < plan.graph.nodes.size(); ++n) {
        const graph::Node& node = plan.graph.nodes[n];
        if (node.mode != device::Mode::inference) continue;
        for (const graph::ValueId id : node.outputs) is_encoder[static_cast<std::size_t>(id.index)] = true;
        CHECK(plan.schedule.gradient_wanted[n] == std::vector<bool>(node.inputs.size(), false));
        CHECK(plan.schedule.plans[n]->requirements().saved == 0);
    }
    for (const graph::GradientTensor& gradient : plan.schedule.gradients) {
        CHECK_FALSE(is_encoder[static_cast<std::size_t>(gradient.of.index)]);
    }
    // Nothing of the encoder outlives the forward pass but what the decoder's own gradients read.
    int first_backward = 0;
    while (!std::holds_alternative<graph::BackwardStep>(
        plan.schedule.steps[static_cast<std::size_t>(first_backward)])) {
        ++first_backward;
    }
    int kept = 0, encoder_values = 0;
    for (const auto& block : plan.blocks) {
        if (block.holds != graph::ProgramPlan::Holds::activation) continue;
        if (!is_encoder[static_cast<std::size_t>(block.index)]) continue;
        ++encoder_values;
        if (block.lifetime.last >= first_backward) ++kept;
    }
    CHECK(encoder_values > 20);
    CHECK(kept <= 5);
    CHECK(store.gradient_bytes() < store.parameter_bytes());
    std::int64_t reduced = 0;
    for (const graph::Step& step : plan.schedule.steps) {
        if (const auto* bucket = std::get_if<graph::StartBucketStep>(&step)) reduced += bucket->length;
    }
    CHECK(reduced == store.trainable_elements());
    CHECK(store.gradient_bytes() == static_cast<std::size_t>(store.trainable_elements()) * sizeof(float));
}

TEST_CASE("only loaded parameters are frozen, and rules that match nothing are refused", "[nets]") {
    config::Model model = small("setr_light");
    model.frozen = "encoder";
    graph::Graph graph = network(model, 3, 64);
    const nets::Frozen result = nets::freeze(graph, model, {"^mla_projs\\.0"},
                                             std::set<std::string>{"pos_embed", "mla_projs.0.bias"});
    CHECK(result.names == std::vector<std::string>{"pos_embed", "mla_projs.0.bias"});
    CHECK(std::find(result.unloaded.begin(), result.unloaded.end(), "patch_embed.proj.weight") !=
          result.unloaded.end());
    CHECK(parameter(graph, "pos_embed")->trainable == graph::Trainable::no);
    CHECK(parameter(graph, "patch_embed.proj.weight")->trainable == graph::Trainable::yes);
    CHECK(parameter(graph, "norm.weight")->trainable == graph::Trainable::no);  // no loss depends on it

    graph = network(model, 3, 64);
    CHECK_THROWS_WITH(nets::freeze(graph, model, {"nothing"}, std::nullopt), test::contains("matches none"));
    CHECK_THROWS_WITH(nets::freeze(graph, model, {"("}, std::nullopt),
                      test::contains("not a regular expression"));
}

TEST_CASE("dropout in a frozen encoder is off unless asked for", "[nets]") {
    config::Model model = small("setr_light");
    model.frozen = "encoder";
    const auto active = [&] {
        graph::Graph graph = network(model, 3, 64);
        nets::freeze(graph, model, {}, std::nullopt);
        int count = 0;
        for (const graph::Node& node : graph.nodes) {
            const auto* attention = std::get_if<ops::Attention>(&node.op);
            const bool drops =
                std::holds_alternative<ops::Dropout>(node.op) || (attention && attention->dropout > 0);
            count += drops && node.mode != device::Mode::inference ? 1 : 0;
        }
        return count;
    };
    CHECK(active() == 0);
    model.frozen_dropout = true;
    CHECK(active() == 4 * 4);
    model.frozen = "none";
    model.frozen_dropout = false;
    CHECK(active() == 4 * 4);
}
