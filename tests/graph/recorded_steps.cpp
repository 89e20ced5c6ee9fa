#include "graph/recorded_steps.hpp"

#include <algorithm>

#include "device/recorded_sums.hpp"
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

namespace {

/// Sums in the fake backend's queue, and who follows them.
class QueuedRanks final : public device::Collectives {
  public:
    explicit QueuedRanks(FakeBackend& backend) : backend_(backend) {}
    std::vector<std::string> announced;
    int rank() const override { return 0; }
    int size() const override { return 2; }
    bool are_queued() const override { return true; }
    void sum(std::span<float> values) override {
        queue({"floats", static_cast<std::int64_t>(values.size())});
    }
    void sum(std::span<double> values) override {
        queue({"doubles", static_cast<std::int64_t>(values.size())});
    }
    void sum(std::span<std::int64_t> values) override {
        queue({"integers", static_cast<std::int64_t>(values.size())});
    }
    Ticket start_sum(std::span<float> values) override {
        queue({"bucket", static_cast<std::int64_t>(values.size())});
        return 0;
    }
    void wait(Ticket) override {}
    void note_calls(std::vector<device::SumCall>* calls) override { noted_ = calls; }
    void announce(std::span<const device::SumCall> calls) override {
        for (const device::SumCall& call : calls)
            announced.push_back(std::string(call.kind) + " " + std::to_string(call.bytes));
    }

  private:
    void queue(const device::SumCall& call) {
        backend_.written().push_back(std::string("queued ") + call.kind);
        if (noted_ != nullptr) {
            noted_->push_back(call);
        } else {
            announce({&call, 1});
        }
    }
    FakeBackend& backend_;
    std::vector<device::SumCall>* noted_ = nullptr;
};

std::vector<std::string> announced_sums(bool records) {
    FakeBackend backend;
    backend.own_memory = true;
    backend.records = records;
    backend.requirements["convolution"].backward_exchange = 2;
    const Graph graph = small_network();
    ParameterStore store(backend, graph);
    QueuedRanks ranks(backend);
    backend.sums = &ranks;
    Program program(plan_program(small_network(), backend, {.bucket_bytes = 1}), backend, store, ranks);
    for (int step = 0; step < 4; ++step) {
        program.run_training({.step = step}, {.first = true, .last = false});
        program.run_training({.step = step}, {.first = false, .last = true});
    }
    CHECK(std::count_if(backend.log.begin(), backend.log.end(), [](const std::string& entry) {
              return entry.starts_with("queued");
          }) == static_cast<std::ptrdiff_t>(ranks.announced.size()));
    return ranks.announced;
}

}  // namespace

TEST_CASE("sums that are replayed are announced like sums that are called, in the same order", "[graph]") {
    const std::vector<std::string> called = announced_sums(false);
    CHECK(std::count(called.begin(), called.end(), "doubles 2") == 16);
    CHECK(std::count_if(called.begin(), called.end(),
                        [](const std::string& one) { return one.starts_with("bucket "); }) == 8);
    CHECK(announced_sums(true) == called);
}

TEST_CASE("a recording that fails leaves sums announced again", "[graph]") {
    FakeBackend backend;
    backend.records = true;
    QueuedRanks ranks(backend);
    std::vector<double> values(3);
    CHECK_THROWS_AS(device::record_with_sums(&ranks,
                                             [&]() -> std::unique_ptr<device::Backend::Recording> {
                                                 ranks.sum(std::span<double>(values));
                                                 throw InternalError("can't be captured");
                                             }),
                    InternalError);
    CHECK(ranks.announced.empty());
    ranks.sum(std::span<double>(values));
    CHECK(ranks.announced == std::vector<std::string>{"doubles 3"});
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
