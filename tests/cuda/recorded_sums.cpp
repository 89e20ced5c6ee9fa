// A training step whose sums over ranks are queued: one recording holds it whole, and buckets travel while
// the backward pass goes on.
#include <algorithm>

#include "cuda/fake_nccl.hpp"
#include "cuda/nccl_sums.hpp"
#include "graph/builder.hpp"
#include "graph/fake_backend.hpp"
#include "graph/program.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::graph;
using test::FakeBackend;

namespace {

Graph small_network() {
    GraphBuilder build(device::Mode::training, DType::f32);
    const ValueId x = build.input("x", {DType::f32, Shape{2, 8, 8, 3}});
    const ValueId labels = build.input("labels", {DType::u8, Shape{2, 8, 8}});
    ValueId value = x;
    for (const char* name : {"a", "b", "c"}) {
        value = build.convolution(name, value, 4, {.kernel = 3, .padding = 1});
    }
    const ValueId weights = build.state("weights", {DType::f32, Shape{4}}, 1, Saved::no);
    build.loss(build.append("loss", ops::CrossEntropy{}, {value, labels, weights}));
    return build.finish();
}

struct Heard final : device::SumListener {
    std::vector<std::string> sums;
    void sums_queued(std::span<const device::SumCall> queued) override {
        for (const device::SumCall& one : queued) sums.push_back(fmt::format("{} {}", one.kind, one.bytes));
    }
    void sums_done(std::int64_t count) override { sums.push_back(fmt::format("{} done", count)); }
};

struct Trained {
    std::vector<std::string> log;
    std::vector<std::string> heard;  ///< by who follows the sums
    int recordings = 0;
    int sum_calls = 0;  ///< that were made, not replayed
};

/// Four steps of two micro-steps with a bucket per convolution and an exchange in the middle of each
/// backward.
Trained train(bool records) {
    FakeBackend backend;
    backend.own_memory = true;
    backend.records = records;
    backend.requirements["convolution"].backward_exchange = 2;
    test::NcclScript script;
    Trained trained;
    script.write = [&](const std::string& call) {
        backend.written().push_back(call);
        if (call.starts_with("sum of")) ++trained.sum_calls;
    };
    Heard heard;
    cuda::NcclSums sums(std::make_unique<test::FakeNccl>(script),
                        std::make_unique<test::FakeSumStream>(script),
                        {.rank = 0, .size = 2, .broadcast = [](std::string&) {}, .listener = &heard});
    backend.sums = &sums;
    const Graph graph = small_network();
    ParameterStore store(backend, graph);
    Program program(plan_program(small_network(), backend, {.bucket_bytes = 1}), backend, store, sums);
    for (int step = 0; step < 4; ++step) {
        program.run_training({.step = step}, {.first = true, .last = false});
        program.run_training({.step = step}, {.first = false, .last = true});
        sums.done(sums.before_next_work());
    }
    trained.log = backend.log;
    trained.heard = heard.sums;
    trained.recordings = backend.recordings;
    return trained;
}

}  // namespace

TEST_CASE("queued sums are part of the recording of a whole pass", "[cuda]") {
    const Trained plain = train(false), recorded = train(true);
    CHECK(recorded.log == plain.log);
    // The first and the last micro-step are one recording each: no collective cuts them.
    CHECK(recorded.recordings == 2);
    CHECK(recorded.sum_calls == plain.sum_calls / 2);
}

TEST_CASE("who follows the sums hears of every replayed one, and of the end of each step", "[cuda]") {
    const std::vector<std::string> called = train(false).heard, replayed = train(true).heard;
    CHECK(replayed == called);
    // Three exchanges in each of two micro-steps, and a bucket per convolution in the last.
    CHECK(called.size() == 4 * (2 * 3 + 3 + 1));
    CHECK(std::count(called.begin(), called.end(), "sum of doubles 16") == 4 * 2 * 3);
    CHECK(std::count(called.begin(), called.end(), "9 done") == 1);
    CHECK(called.back() == "36 done");
}

TEST_CASE("a bucket is summed beside the backward steps that follow it", "[cuda]") {
    const std::vector<std::string> log = train(false).log;
    // The last micro-step of the first step: from the second loss on.
    auto begin = std::find(log.begin(), log.end(), "cross_entropy");
    REQUIRE(begin != log.end());
    begin = std::find(begin + 1, log.end(), "cross_entropy");
    const auto end = std::find(begin + 1, log.end(), "cross_entropy");
    REQUIRE(end != log.end());
    const auto is_bucket = [](const std::string& entry) {
        return entry.starts_with("sum of") && entry.ends_with("f32");
    };
    const auto first = std::find_if(begin, end, is_bucket);
    REQUIRE(first != end);
    CHECK(*(first - 1) == "sums follow");
    CHECK(std::count_if(begin, end, is_bucket) == 3);
    // Nothing makes the backward pass wait for it before the next sum of its own.
    CHECK((first + 1)->starts_with("convolution back"));
    // At the end the work waits once for all buckets; the last entry before the next pass.
    const auto last =
        std::find_if(std::make_reverse_iterator(end), std::make_reverse_iterator(begin), is_bucket);
    CHECK(std::count(last.base(), end, "work waits for sums") == 1);
}
