// Sums by NCCL against a library that does what the test says: connecting, deadlines, giving up.
#include "cuda/nccl_sums.hpp"

#include "base/error.hpp"
#include "cuda/fake_nccl.hpp"
#include "cuda/host_wait.hpp"
#include "support/catch.hpp"

using namespace terrane;
using cuda::NcclSums;
using test::FakeNccl;
using test::FakeSumStream;
using test::NcclScript;
using Result = cuda::NcclResult;

namespace {

constexpr std::chrono::milliseconds short_time(50);

/// Two ranks of which this is one; rank 0 hears itself, the other hears `sent`.
device::DeviceGroup group_of(int rank, std::string sent = "+the id",
                             std::chrono::duration<double> timeout = std::chrono::seconds(60)) {
    return {.rank = rank,
            .size = 2,
            .broadcast = [rank, sent](std::string& text) { text = rank == 0 ? text : sent; },
            .timeout = timeout};
}

std::unique_ptr<NcclSums> connect(NcclScript& script, const device::DeviceGroup& group) {
    return std::make_unique<NcclSums>(std::make_unique<FakeNccl>(script),
                                      std::make_unique<FakeSumStream>(script), group);
}

template <typename Work>
Error error_of(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        return error;
    }
    FAIL("nothing was thrown");
    throw;
}

}  // namespace

TEST_CASE("ranks are connected with the id of the first, whenever NCCL is done", "[cuda]") {
    for (const int rank : {0, 1}) {
        NcclScript script;
        script.state = [](int asked) { return asked < 5 ? Result::in_progress : Result::success; };
        const auto sums = connect(script, group_of(rank));
        CHECK(script.received_id == "the id");
        CHECK(script.questions == 6);
        CHECK((sums->rank() == rank && sums->size() == 2 && sums->are_queued()));
    }
}

TEST_CASE("a communicator is destroyed in order, aborted where the others do not finish", "[cuda]") {
    NcclScript script;
    connect(script, group_of(0)).reset();
    CHECK((script.destroyed == 1 && script.aborted == 0));
    script = {};
    script.finalise = Result::system_error;
    connect(script, group_of(0)).reset();
    CHECK((script.destroyed == 0 && script.aborted == 1));
}

TEST_CASE("a rank that fails gives up its sums instead of waiting for the others", "[cuda]") {
    NcclScript script;
    try {
        const auto sums = connect(script, group_of(0));
        throw 1;
    } catch (int) {
    }
    CHECK((script.destroyed == 0 && script.aborted == 1));
}

TEST_CASE("ranks that do not come end the connecting in time, with the fix", "[cuda]") {
    NcclScript script;
    script.state = [](int) { return Result::in_progress; };
    const auto begun = std::chrono::steady_clock::now();
    const Error error = error_of([&] { connect(script, group_of(1, "+the id", short_time)); });
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
    CHECK((error.number() == 717 && error.exit_code() == ExitCode::device_unavailable));
    CHECK(error.message().find("rank 1") != std::string::npos);
    CHECK(error.message().find("0.05 s") != std::string::npos);
    CHECK(error.fix().find("device_sums=host") != std::string::npos);
    CHECK(script.aborted == 1);
}

TEST_CASE("where the first rank gets no id, every rank says why and none waits", "[cuda]") {
    NcclScript script;
    script.id = Result::system_error;
    CHECK(error_of([&] { connect(script, group_of(0)); }).message().find("something else") !=
          std::string::npos);
    CHECK(error_of([&] { connect(script, group_of(1, "-no network")); }).message().find("no network") !=
          std::string::npos);
    CHECK(script.received_id.empty());
}

TEST_CASE("a lost rank is reported by the call that meets it, with what was summed", "[cuda]") {
    NcclScript script;
    const auto sums = connect(script, group_of(1));
    std::vector<float> values(256);
    sums->start_sum(values);
    script.state = [](int) { return Result::remote_error; };
    // The next call, and the host's waiting for queued work.
    const Error error = error_of([&] { sums->check(std::chrono::milliseconds(1)); });
    CHECK((error.number() == 806 && error.exit_code() == ExitCode::peer_lost));
    CHECK(error.message().find("rank 1 of 2") != std::string::npos);
    CHECK(error.message().find("'sum of a gradient bucket' (number 1, 1024 bytes)") != std::string::npos);
    CHECK(error.message().find("a remote process exited") != std::string::npos);
    CHECK(script.aborted == 1);
    std::vector<double> more(2);
    CHECK(error_of([&] { sums->sum(std::span<double>(more)); }).number() == 806);
    CHECK(script.aborted == 1);  // only once
}

TEST_CASE("what was replayed counts as queued where a lost rank is reported", "[cuda]") {
    NcclScript script;
    const auto sums = connect(script, group_of(1));
    std::vector<double> values(2);
    std::vector<device::SumCall> recorded;
    sums->note_calls(&recorded);
    sums->sum(std::span<double>(values));
    sums->note_calls(nullptr);
    for (int step = 0; step < 5; ++step) sums->announce(recorded);
    script.state = [](int) { return Result::remote_error; };
    const Error error = error_of([&] { sums->check(std::chrono::milliseconds(1)); });
    CHECK(error.message().find("'sum of doubles' (number 5, 16 bytes)") != std::string::npos);
}

TEST_CASE("what the work does not wait for is not done when the work is", "[cuda]") {
    NcclScript script;
    const auto sums = connect(script, group_of(0));
    std::vector<float> values(8);
    std::vector<double> numbers(2);
    CHECK(sums->before_next_work() == 0);
    sums->sum(std::span<double>(numbers));
    const auto ticket = sums->start_sum(values);
    CHECK(sums->before_next_work() == 1);
    sums->wait(ticket);
    CHECK(sums->before_next_work() == 2);
    std::vector<device::SumCall> recorded;
    sums->note_calls(&recorded);
    sums->wait(sums->start_sum(values));
    sums->sum(std::span<double>(numbers));
    sums->note_calls(nullptr);
    CHECK(sums->before_next_work() == 2);
    sums->announce(recorded);
    CHECK(sums->before_next_work() == 4);
}

TEST_CASE("a sum that the others do not join ends after the time limit", "[cuda]") {
    NcclScript script;
    const auto sums = connect(script, group_of(0, "", short_time));
    std::vector<double> values(2);
    script.state = [](int asked) { return asked < 3 ? Result::success : Result::in_progress; };
    const Error called = error_of([&] {
        for (int i = 0; i < 5; ++i) sums->sum(std::span<double>(values));
    });
    CHECK((called.number() == 802 && script.aborted == 1));

    NcclScript other;
    const auto queued = connect(other, group_of(0, "", short_time));
    cuda::HostWait wait;
    wait.set_check([&](std::chrono::duration<double> waited) { queued->check(waited); });
    const Error waited = error_of([&] { wait.until([] { return false; }, [] {}); });
    CHECK((waited.number() == 802 && other.aborted == 1));
}

TEST_CASE("a wait for the device that ends in time asks nobody to give up", "[cuda]") {
    cuda::HostWait wait;
    int blocked = 0, asked = 0;
    wait.until([] { return false; }, [&] { ++blocked; });
    CHECK(blocked == 1);
    wait.set_check([](std::chrono::duration<double>) {});
    wait.until([&] { return ++asked > 6000; }, [&] { ++blocked; });
    CHECK((asked == 6001 && blocked == 1));
}

TEST_CASE("sums given up from another thread end the next wait", "[cuda]") {
    NcclScript script;
    const auto sums = connect(script, group_of(0));
    sums->give_up();
    CHECK(script.aborted == 1);
    CHECK(error_of([&] { sums->check({}); }).number() == 806);
}

TEST_CASE("gradients sum as bf16 only where that was asked for", "[cuda]") {
    for (const auto type : {device::GradientSums::f32, device::GradientSums::bf16}) {
        NcclScript script;
        std::vector<std::string> calls;
        script.write = [&](const std::string& call) { calls.push_back(call); };
        device::DeviceGroup group = group_of(0);
        group.gradients = type;
        const auto sums = connect(script, group);
        std::vector<float> values(32);
        sums->wait(sums->start_sum(values));
        sums->sum(std::span<float>(values));  // not gradients
        const bool bf16 = type == device::GradientSums::bf16;
        const std::vector<std::string> bucket =
            bf16 ? std::vector<std::string>{"sums follow", "narrow", "sum of 32 bf16", "widen",
                                            "work waits for sums"}
                 : std::vector<std::string>{"sums follow", "sum of 32 f32", "work waits for sums"};
        std::vector<std::string> expected = bucket;
        expected.insert(expected.end(), {"sums follow", "sum of 32 f32", "work waits for sums"});
        CHECK(calls == expected);
    }
}
