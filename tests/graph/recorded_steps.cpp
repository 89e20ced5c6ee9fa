#include "graph/recorded_steps.hpp"

#include "fake_backend.hpp"
#include "graph/builder.hpp"
#include "graph/program.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::graph;
using test::FakeBackend;

namespace {

/// Counts sums; `ranks` says how many ranks there seem to be.
class CountingRanks final : public device::Collectives {
  public:
    explicit CountingRanks(FakeBackend& backend, int ranks) : backend_(backend), ranks_(ranks) {}
    int rank() const override { return 0; }
    int size() const override { return ranks_; }
    void sum(std::span<float>) override { backend_.log.push_back("sum"); }
    void sum(std::span<double>) override { backend_.log.push_back("sum"); }
    void sum(std::span<std::int64_t>) override { backend_.log.push_back("sum"); }
    Ticket start_sum(std::span<float>) override {
        backend_.log.push_back("start");
        return ++started_;
    }
    void wait(Ticket) override {}

  private:
    FakeBackend& backend_;
    int ranks_;
    Ticket started_ = 0;
};

Graph small_network() {
    GraphBuilder build(device::Mode::training, DType::f32);
    const ValueId x = build.input("x", {DType::f32, Shape{2, 8, 8, 3}});
    const ValueId labels = build.input("labels", {DType::u8, Shape{2, 8, 8}});
    const ValueId a = build.convolution("a", x, 4, {.kernel = 3, .padding = 1});
    const ValueId b = build.append("relu", ops::Activation{}, {a});
    const ValueId c = build.convolution("c", b, 4, {.kernel = 1});
    const ValueId weights = build.state("weights", {DType::f32, Shape{4}}, 1, Saved::no);
    build.loss(build.append("loss", ops::CrossEntropy{}, {c, labels, weights}));
    return build.finish();
}

/// What four optimizer steps of two micro-steps each make a program do.
std::vector<std::string> training_log(bool records, int ranks, bool profiles = false) {
    FakeBackend backend;
    backend.records = records;
    backend.requirements["convolution"].backward_exchange = 2;
    const Graph graph = small_network();
    ParameterStore store(backend, graph);
    CountingRanks collectives(backend, ranks);
    Program program(plan_program(small_network(), backend), backend, store, collectives);
    program.enable_profile(profiles);
    for (int step = 0; step < 4; ++step) {
        program.run_training({.step = step}, {.first = true, .last = false});
        program.run_training({.step = step}, {.first = false, .last = true});
    }
    return backend.log;
}

}  // namespace

TEST_CASE("a program whose steps are recorded does what it does step by step", "[graph]") {
    for (const int ranks : {1, 3}) {
        const auto plain = training_log(false, ranks);
        CHECK(training_log(true, ranks) == plain);
        CHECK(training_log(true, ranks, true) == plain);
        // First and later micro-steps differ, so one recording can't serve both.
        CHECK(std::count(plain.begin(), plain.end(), "convolution back writes writes") > 0);
        CHECK(std::count(plain.begin(), plain.end(), "convolution back writes adds") > 0);
    }
}

TEST_CASE("the second run is recorded, later ones are replayed", "[graph]") {
    FakeBackend backend;
    backend.records = true;
    RecordedSteps recorded;
    int calls = 0;
    const auto never = [](std::size_t) { return false; };
    const auto step = [&](std::size_t position) {
        ++calls;
        backend.written().push_back(std::to_string(position));
    };
    for (int run = 0; run < 5; ++run) recorded.run(backend, 3, never, step);
    CHECK(calls == 6);
    std::vector<std::string> expected;
    for (int run = 0; run < 5; ++run) expected.insert(expected.end(), {"0", "1", "2"});
    CHECK(backend.log == expected);
}

TEST_CASE("collectives are never part of a recording and keep their place", "[graph]") {
    FakeBackend backend;
    backend.records = true;
    RecordedSteps recorded;
    std::vector<std::size_t> collective_calls;
    const auto odd = [](std::size_t position) { return position == 1 || position == 4; };
    const auto step = [&](std::size_t position) {
        if (odd(position)) {
            CHECK(&backend.written() == &backend.log);
            collective_calls.push_back(position);
        }
        backend.written().push_back(std::to_string(position));
    };
    for (int run = 0; run < 3; ++run) recorded.run(backend, 5, odd, step);
    CHECK(collective_calls == std::vector<std::size_t>{1, 4, 1, 4, 1, 4});
    std::vector<std::string> expected;
    for (int run = 0; run < 3; ++run) expected.insert(expected.end(), {"0", "1", "2", "3", "4"});
    CHECK(backend.log == expected);
}

TEST_CASE("where the backend does not record, every step runs every time", "[graph]") {
    FakeBackend backend;
    RecordedSteps recorded;
    int calls = 0;
    for (int run = 0; run < 4; ++run) {
        recorded.run(
            backend, 2, [](std::size_t) { return false; }, [&](std::size_t) { ++calls; });
    }
    CHECK(calls == 8);
}
