#include "cuda/nccl_sums.hpp"

#include <sched.h>

#include <exception>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::cuda {

namespace {

constexpr auto farewell_time = std::chrono::seconds(5);

// A call in progress is over within microseconds, as a rule; connecting takes seconds.
void pause(int polls) {
    if (polls < 1000) {
        ::sched_yield();
    } else {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

constexpr const char* look_around =
    "Look at the log files of the other ranks; NCCL_DEBUG=INFO makes NCCL say more, and "
    "-s runtime.device_sums=host sums without it.";

}  // namespace

NcclSums::NcclSums(std::unique_ptr<NcclCalls> calls, std::unique_ptr<SumStream> stream,
                   const device::DeviceGroup& group)
    : calls_(std::move(calls)),
      stream_(std::move(stream)),
      rank_(group.rank),
      size_(group.size),
      timeout_(group.timeout),
      gradients_(group.gradients),
      listener_(group.listener) {
    connect(group);
}

// The id travels behind a '+'. Behind a '-' comes why there is none: then no rank waits for the others.
void NcclSums::connect(const device::DeviceGroup& group) {
    const auto refuse = [this](const std::string& why) {
        throw Error(ExitCode::device_unavailable, 717,
                    fmt::format("{} can't connect rank {} with the other {}: {}.", calls_->library(), rank_,
                                size_ - 1, why),
                    "NCCL_DEBUG=INFO shows what it tries; NCCL_SOCKET_IFNAME names the network to use; "
                    "-s runtime.device_sums=host sums without NCCL.");
    };
    std::string message;
    if (rank_ == 0) {
        std::string id;
        const NcclResult result = calls_->make_id(id);
        message = result == NcclResult::success ? "+" + id : "-" + calls_->explain(result, nullptr);
    }
    group.broadcast(message);
    if (!message.starts_with('+')) refuse(message.empty() ? "rank 0 sent nothing" : message.substr(1));

    const NcclResult begun = calls_->begin_communicator(communicator_, size_, message.substr(1), rank_);
    const NcclResult result = settled_within(begun, timeout_);
    if (result == NcclResult::success) return;
    const std::string why = result == NcclResult::in_progress
                                ? fmt::format("not all of them came within {:g} s", timeout_.count())
                                : calls_->explain(result, communicator_);
    give_up();
    refuse(why);
}

NcclSums::~NcclSums() {
    if (communicator_ == nullptr || given_up_) return;
    // A rank that failed does not wait for the others, which wait for it.
    if (std::uncaught_exceptions() > 0) {
        give_up();
        return;
    }
    const NcclResult result = settled_within(calls_->begin_finalising(communicator_), farewell_time);
    if (result == NcclResult::success) {
        static_cast<void>(calls_->destroy(communicator_));
        return;
    }
    log::debug("NCCL did not end in order: {}", calls_->explain(result, communicator_));
    give_up();
}

void NcclSums::give_up() noexcept {
    // The main thread may be about to call it, too; only the first does.
    if (given_up_.exchange(true) || communicator_ == nullptr) return;
    static_cast<void>(calls_->abort(communicator_));
}

NcclResult NcclSums::settled_within(NcclResult result, std::chrono::duration<double> limit) {
    const auto begun = Clock::now();
    for (int polls = 0; result == NcclResult::in_progress && Clock::now() - begun < limit; ++polls) {
        pause(polls);
        result = calls_->state(communicator_);
    }
    return result;
}

NcclResult NcclSums::settled(NcclResult result) {
    result = settled_within(result, timeout_);
    if (result == NcclResult::in_progress) fail_late(timeout_.count());
    return result;
}

void NcclSums::require(NcclResult result) {
    result = settled(result);
    if (result != NcclResult::success) fail(result);
}

std::string NcclSums::last_queued() const {
    if (queued_ == 0) return "connection of the ranks";
    return fmt::format("'{}' (number {}, {} bytes)", last_.kind, queued_, last_.bytes);
}

void NcclSums::fail(NcclResult result) {
    const std::string why = calls_->explain(result, communicator_);
    give_up();
    throw Error(ExitCode::peer_lost, 806,
                fmt::format("{} on rank {} of {} failed in or after {}: {}.", calls_->library(), rank_, size_,
                            last_queued(), why),
                look_around);
}

void NcclSums::fail_late(double seconds) {
    give_up();
    throw Error(ExitCode::peer_lost, 802,
                fmt::format("a rank did not take part in a sum of {} within {:g} s; rank {} called {} last.",
                            calls_->library(), seconds, rank_, last_queued()),
                "Look at the log files of the other ranks; --collective-timeout sets the limit.");
}

void NcclSums::check(std::chrono::duration<double> waited) {
    if (given_up_) {
        throw Error(ExitCode::peer_lost, 806,
                    fmt::format("the sums of rank {} were given up because another rank is lost.", rank_),
                    look_around);
    }
    const NcclResult result = calls_->state(communicator_);
    if (result != NcclResult::success && result != NcclResult::in_progress) fail(result);
    if (waited > timeout_) fail_late(waited.count());
}

void NcclSums::begin(const char* kind, std::int64_t bytes) {
    check({});
    const device::SumCall call{kind, bytes};
    if (noted_ != nullptr) {
        noted_->push_back(call);
    } else {
        enter({&call, 1});
    }
}

void NcclSums::enter(std::span<const device::SumCall> calls) {
    if (calls.empty()) return;
    last_ = calls.back();
    queued_ += static_cast<std::int64_t>(calls.size());
    if (listener_ != nullptr) listener_->sums_queued(calls);
}

// What comes after a recording waits for all that it holds.
void NcclSums::announce(std::span<const device::SumCall> calls) {
    enter(calls);
    joined_sums_ = queued_;
}

void NcclSums::done(std::int64_t count) {
    if (listener_ != nullptr) listener_->sums_done(count);
}

// The stream of the sums is in order: with the last one all are there.
void NcclSums::hold_up_work() {
    stream_->hold_up_work();
    if (noted_ == nullptr) joined_sums_ = queued_;
}

void NcclSums::queue_sum(void* values, std::int64_t count, DType type) {
    require(calls_->sum(values, count, type, communicator_, stream_->queue()));
}

// Sums in the middle of a pass share the stream of the buckets, and so their order.
void NcclSums::sum(std::span<float> values) {
    begin("sum of floats", static_cast<std::int64_t>(values.size_bytes()));
    stream_->follow_work();
    queue_sum(values.data(), static_cast<std::int64_t>(values.size()), DType::f32);
    hold_up_work();
}

void NcclSums::sum(std::span<double> values) {
    begin("sum of doubles", static_cast<std::int64_t>(values.size_bytes()));
    stream_->follow_work();
    queue_sum(values.data(), static_cast<std::int64_t>(values.size()), DType::f64);
    hold_up_work();
}

void NcclSums::sum(std::span<std::int64_t> values) {
    begin("sum of integers", static_cast<std::int64_t>(values.size_bytes()));
    stream_->follow_work();
    queue_sum(values.data(), static_cast<std::int64_t>(values.size()), DType::i64);
    hold_up_work();
}

device::Collectives::Ticket NcclSums::start_sum(std::span<float> values) {
    begin("sum of a gradient bucket", static_cast<std::int64_t>(values.size_bytes()));
    const auto count = static_cast<std::int64_t>(values.size());
    stream_->follow_work();
    if (gradients_ == device::GradientSums::bf16) {
        // One room for all buckets: the stream takes them one after another.
        auto* const narrowed = reinterpret_cast<bfloat16*>(stream_->room(values.size() * sizeof(bfloat16)));
        stream_->narrow(values.data(), narrowed, count);
        queue_sum(narrowed, count, DType::bf16);
        stream_->widen(narrowed, values.data(), count);
    } else {
        queue_sum(values.data(), count, DType::f32);
    }
    return ++started_;
}

void NcclSums::wait(Ticket ticket) {
    TERRANE_ASSERT(ticket > 0 && ticket <= started_, "ticket {} of {}", ticket, started_);
    if (ticket <= joined_) return;
    hold_up_work();
    joined_ = started_;
}

}  // namespace terrane::cuda
