#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "cuda/nccl_calls.hpp"
#include "device/device_group.hpp"

namespace terrane::cuda {

/// Sums over ranks by NCCL, queued. All of them run in one stream, in the order of the calls, so that no two
/// ranks can wait for each other's; buckets run there beside the backward pass, and the backend's stream
/// waits for them where wait() is called.
///
/// NCCL's own thread of execution is never waited for without a limit: connecting, and every call that
/// answers "in progress", ends with an error after the group's timeout; check() does the same for what is
/// queued.
class NcclSums final : public device::Collectives {
  public:
    /// Collective. Throws Error E0717 (69) on every rank if NCCL can't connect them in time.
    NcclSums(std::unique_ptr<NcclCalls> calls, std::unique_ptr<SumStream> stream,
             const device::DeviceGroup& group);
    /// Waits a few seconds for the others to finish, too. Recordings with sums must be gone.
    ~NcclSums() override;
    NcclSums(const NcclSums&) = delete;
    NcclSums& operator=(const NcclSums&) = delete;

    int rank() const override { return rank_; }
    int size() const override { return size_; }
    bool are_queued() const override { return true; }
    void sum(std::span<float> values) override;
    void sum(std::span<double> values) override;
    void sum(std::span<std::int64_t> values) override;
    Ticket start_sum(std::span<float> values) override;
    void wait(Ticket ticket) override;
    void note_calls(std::vector<device::SumCall>* calls) override { noted_ = calls; }
    void announce(std::span<const device::SumCall> calls) override;
    /// How many sums, of all so far, the backend's stream waits for before it does what is queued next.
    std::int64_t before_next_work() const { return joined_sums_; }
    /// The backend's stream has come to a place where that was `count`.
    void done(std::int64_t count);

    /// Throws Error E0806 (82) if NCCL has lost a rank, E0802 (82) if the others don't come; either way the
    /// communicator is aborted first, so that the device becomes free.
    void check(std::chrono::duration<double> waited) override;
    void give_up() noexcept override;

  private:
    using Clock = std::chrono::steady_clock;

    void connect(const device::DeviceGroup& group);
    void queue_sum(void* values, std::int64_t count, DType type);
    /// The result once it is no longer "in progress", within the timeout.
    NcclResult settled(NcclResult result);
    NcclResult settled_within(NcclResult result, std::chrono::duration<double> limit);
    void require(NcclResult result);
    void begin(const char* kind, std::int64_t bytes);
    void enter(std::span<const device::SumCall> calls);
    void hold_up_work();
    [[noreturn]] void fail(NcclResult result);
    [[noreturn]] void fail_late(double seconds);
    std::string last_queued() const;

    std::unique_ptr<NcclCalls> calls_;
    std::unique_ptr<SumStream> stream_;
    int rank_;
    int size_;
    std::chrono::duration<double> timeout_;
    device::GradientSums gradients_;
    ncclComm* communicator_ = nullptr;
    std::atomic<bool> given_up_ = false;
    device::SumListener* listener_;
    std::vector<device::SumCall>* noted_ = nullptr;  ///< while work is recorded
    device::SumCall last_;                           ///< that went into the queue
    std::int64_t queued_ = 0;                        ///< sums so far, replayed ones included
    std::int64_t joined_sums_ = 0;                   ///< of them, those that the backend's stream waits for
    Ticket started_ = 0;                             ///< buckets so far
    Ticket joined_ = 0;                              ///< of them, those that the backend's stream waits for
};

}  // namespace terrane::cuda
