#include "graph/schedule.hpp"

#include <algorithm>
#include <set>

#include "fake_backend.hpp"
#include "graph/builder.hpp"
#include "graph/parameter_store.hpp"
#include "graph/program_plan.hpp"
#include "nets/network.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::graph;
using test::FakeBackend;

namespace {

/// x -> conv a -> conv b -> relu -> loss, with a second reader of a's output added in before the loss.
struct SmallNetwork {
    ValueId a, b, activated, joined;
    Graph graph;

    explicit SmallNetwork(Trainable first_layer = Trainable::yes) {
        GraphBuilder build(device::Mode::training, DType::f32);
        const ValueId x = build.input("x", {DType::f32, Shape{2, 8, 8, 3}});
        const ValueId labels = build.input("labels", {DType::u8, Shape{2, 8, 8}});
        build.set_trainable(first_layer);
        a = build.convolution("a", x, 4, {.kernel = 3, .padding = 1, .bias = true});
        build.set_trainable(Trainable::yes);
        b = build.convolution("b", a, 4, {.kernel = 1});
        activated = build.append("relu", ops::Activation{}, {b});
        joined = build.append("joined", ops::Add{}, {activated, a});
        const ValueId weights = build.state("weights", {DType::f32, Shape{4}}, 1, Saved::no);
        build.loss(build.append("loss", ops::CrossEntropy{}, {joined, labels, weights}));
        graph = build.finish();
    }
};

template <typename StepKind>
std::vector<const StepKind*> steps_of(const Schedule& schedule) {
    std::vector<const StepKind*> found;
    for (const Step& step : schedule.steps) {
        if (const auto* kind = std::get_if<StepKind>(&step)) found.push_back(kind);
    }
    return found;
}

int position_of_last_write(const Schedule& schedule, ValueId parameter) {
    int last = -1;
    for (int i = 0; i < static_cast<int>(schedule.steps.size()); ++i) {
        const auto* backward = std::get_if<BackwardStep>(&schedule.steps[static_cast<std::size_t>(i)]);
        if (backward == nullptr) continue;
        for (const auto& target : backward->input_targets) {
            if (target.parameter == parameter) last = i;
        }
    }
    return last;
}

Graph duet_graph(nets::Task task, std::int64_t batch = 2) {
    config::Model model;
    model.modality_dropout = 0.2;
    const nets::NetworkInputs inputs{.modalities = {{"optical", 4, 1}, {"height", 1, 2}, {"sar", 2, 4}},
                                     .classes = 7,
                                     .batch = batch,
                                     .height = 64,
                                     .width = 64};
    return nets::build_network(model, {}, inputs, task, DType::f32);
}

}  // namespace

TEST_CASE(
    "a value read twice gets one gradient term per reader, and they are summed where the producer reads one",
    "[graph]") {
    FakeBackend backend;
    SmallNetwork network;
    const Schedule schedule = make_schedule(network.graph, backend, 1);
    const auto sums = steps_of<SumTermsStep>(schedule);
    REQUIRE(sums.size() == 1);
    REQUIRE(sums[0]->terms.size() == 2);
    for (const int term : sums[0]->terms)
        CHECK(schedule.gradients[static_cast<std::size_t>(term)].of == network.a);
}

TEST_CASE("a producer that reads two terms needs no sum", "[graph]") {
    FakeBackend backend;
    backend.requirements["convolution"].gradient_terms = 2;
    SmallNetwork network;
    const Schedule schedule = make_schedule(network.graph, backend, 1);
    CHECK(steps_of<SumTermsStep>(schedule).empty());
    const auto backward = steps_of<BackwardStep>(schedule);
    const auto* of_a = backward.back();
    CHECK(of_a->output_terms[0][0] >= 0);
    CHECK(of_a->output_terms[0][1] >= 0);
}

TEST_CASE("no gradient is asked for inputs, labels or frozen layers", "[graph]") {
    FakeBackend backend;
    SmallNetwork network(Trainable::no);
    const Schedule schedule = make_schedule(network.graph, backend, 1);
    for (const GradientTensor& gradient : schedule.gradients) {
        CHECK(network.graph.value(gradient.of).kind == ValueKind::activation);
        CHECK_FALSE(gradient.of == network.a);
    }
    for (const BackwardStep* step : steps_of<BackwardStep>(schedule)) {
        CHECK(network.graph.nodes[static_cast<std::size_t>(step->node)].name != "a");
    }
}

TEST_CASE("backward runs every node with a trainable parameter behind it once, in reverse order", "[graph]") {
    FakeBackend backend;
    const Graph graph = duet_graph(nets::Task::train);
    const Schedule schedule = make_schedule(graph, backend, 1 << 20);
    const auto backward = steps_of<BackwardStep>(schedule);
    for (std::size_t i = 1; i < backward.size(); ++i) CHECK(backward[i]->node < backward[i - 1]->node);
    // Only the slices of the presence, an input, have nothing trainable behind them.
    const auto slices = std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                      [](const Node& node) { return std::holds_alternative<ops::Slice>(node.op); });
    CHECK(backward.size() == graph.nodes.size() - static_cast<std::size_t>(slices));
}

TEST_CASE("an inference graph has no backward, no buckets and no gradients", "[graph]") {
    FakeBackend backend;
    const Schedule schedule = make_schedule(duet_graph(nets::Task::evaluate), backend, 1 << 20);
    CHECK(steps_of<BackwardStep>(schedule).empty());
    CHECK(steps_of<StartBucketStep>(schedule).empty());
    CHECK(schedule.gradients.empty());
}

TEST_CASE("buckets cover the gradient buffer exactly once and start after their last write", "[graph]") {
    FakeBackend backend;
    Graph graph = duet_graph(nets::Task::train);
    ParameterStore store(backend, graph);
    const Schedule schedule = make_schedule(graph, backend, 100000);
    std::int64_t next = 0;
    int buckets = 0;
    for (int i = 0; i < static_cast<int>(schedule.steps.size()); ++i) {
        const auto* bucket = std::get_if<StartBucketStep>(&schedule.steps[static_cast<std::size_t>(i)]);
        if (bucket == nullptr) continue;
        ++buckets;
        CHECK(bucket->offset == next);
        next += bucket->length;
        for (std::size_t v = 0; v < graph.values.size(); ++v) {
            if (graph.values[v].kind != ValueKind::parameter) continue;
            const auto* entry = store.find(graph.values[v].name);
            if (entry->offset < bucket->offset || entry->offset >= bucket->offset + bucket->length) continue;
            CHECK(entry->offset + entry->elements() <= bucket->offset + bucket->length);
            CHECK(position_of_last_write(schedule, {static_cast<int>(v)}) < i);
        }
    }
    CHECK(next == store.trainable_elements());
    CHECK(buckets > 10);
}

TEST_CASE("an exchange stands between the two phases of its op", "[graph]") {
    FakeBackend backend;
    backend.requirements["batch_norm"].forward_exchange = 3;
    backend.requirements["batch_norm"].backward_exchange = 2;
    const Graph graph = duet_graph(nets::Task::train);
    const Schedule schedule = make_schedule(graph, backend, 1 << 20);
    int exchanges = 0;
    for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
        const auto* exchange = std::get_if<ExchangeStep>(&schedule.steps[i]);
        if (exchange == nullptr) continue;
        ++exchanges;
        if (exchange->direction == ExchangeStep::Direction::forward) {
            CHECK(std::get<ForwardStep>(schedule.steps[i - 1]).phase == device::Phase::before_exchange);
            CHECK(std::get<ForwardStep>(schedule.steps[i + 1]).node == exchange->node);
        } else {
            CHECK(std::get<BackwardStep>(schedule.steps[i - 1]).phase == device::Phase::before_exchange);
            CHECK(std::get<BackwardStep>(schedule.steps[i + 1]).node == exchange->node);
        }
    }
    const auto norms = std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
        return std::holds_alternative<ops::BatchNorm>(node.op);
    });
    CHECK(exchanges == 2 * norms);
}

TEST_CASE("everything a backward step reads is alive in the plan", "[graph]") {
    FakeBackend backend;
    backend.requirements["batch_norm"].saved = 512;
    backend.requirements["convolution"].backward_workspace = 4096;
    const ProgramPlan plan = plan_program(duet_graph(nets::Task::train), backend);
    const auto lifetime_of = [&](ProgramPlan::Holds holds, int index) {
        for (const auto& block : plan.blocks) {
            if (block.holds == holds && block.index == index) return block.lifetime;
        }
        return Lifetime{0, -1, -2};
    };
    for (int i = 0; i < static_cast<int>(plan.schedule.steps.size()); ++i) {
        const auto* backward = std::get_if<BackwardStep>(&plan.schedule.steps[static_cast<std::size_t>(i)]);
        if (backward == nullptr) continue;
        const Node& node = plan.graph.nodes[static_cast<std::size_t>(backward->node)];
        const auto needs = ops::backward_needs_of(node.op);
        for (std::size_t input = 0; input < node.inputs.size(); ++input) {
            if ((needs.inputs >> input & 1u) == 0) continue;
            if (plan.graph.value(node.inputs[input]).kind != ValueKind::activation) continue;
            const Lifetime life = lifetime_of(ProgramPlan::Holds::activation, node.inputs[input].index);
            CHECK(life.first < i);
            CHECK(life.last >= i);
        }
        for (const auto& terms : backward->output_terms) {
            for (const int term : terms) {
                if (term < 0) continue;
                const Lifetime life = lifetime_of(ProgramPlan::Holds::gradient, term);
                CHECK(life.first < i);
                CHECK(life.last >= i);
            }
        }
    }
    CHECK(plan.arena.bytes >= plan.arena.lower_bound);
    CHECK(static_cast<double>(plan.arena.bytes) <= 1.05 * static_cast<double>(plan.arena.lower_bound));
}

TEST_CASE("an evaluation graph finds all its parameters in the training graph's store", "[graph]") {
    FakeBackend backend;
    const Graph train = duet_graph(nets::Task::train);
    ParameterStore store(backend, train);
    store.initialise(1);
    CHECK_NOTHROW(store.adopt(duet_graph(nets::Task::evaluate, 5)));
    CHECK_NOTHROW(store.adopt(duet_graph(nets::Task::predict, 1)));
    CHECK(store.state("evaluation.confusion").spec.dtype == DType::i64);
}

TEST_CASE("a store refuses a network with a parameter it lacks and names it", "[graph]") {
    FakeBackend backend;
    SmallNetwork small;
    ParameterStore store(backend, small.graph);
    try {
        store.adopt(duet_graph(nets::Task::predict));
        FAIL("accepted");
    } catch (const Error& error) {
        CHECK(error.message().find("encoder.optical.conv1.weight") != std::string::npos);
    }
}

TEST_CASE("initial values depend on seed and name only", "[graph]") {
    FakeBackend backend;
    const Graph graph = duet_graph(nets::Task::train);
    ParameterStore first(backend, graph), second(backend, duet_graph(nets::Task::predict)),
        other(backend, graph);
    first.initialise(3);
    second.initialise(3);
    other.initialise(4);
    const auto* name = "encoder.height.layer2.0.conv1.weight";
    const auto values = [&](ParameterStore& store) {
        return store.parameter(*store.find(name)).span<float>();
    };
    CHECK(std::equal(values(first).begin(), values(first).end(), values(second).begin()));
    CHECK_FALSE(std::equal(values(first).begin(), values(first).end(), values(other).begin()));
    double sum = 0, squares = 0;
    for (const float value : values(first)) {
        sum += value;
        squares += static_cast<double>(value) * value;
    }
    const double count = static_cast<double>(values(first).size());
    // KaimingFanOut of [128, 3, 3, 64]: variance 2 / (128 * 9).
    CHECK(sum / count == Approx(0).margin(0.001));
    CHECK(squares / count == Approx(2.0 / (128 * 9)).epsilon(0.03));
}
