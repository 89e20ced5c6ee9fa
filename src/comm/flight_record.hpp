#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "device/sum_calls.hpp"

namespace terrane::comm {

/// One collective as a rank saw it.
struct CollectiveEntry {
    std::int64_t number = 0;  ///< counted from 1 in the order of the calls, which is the same on all ranks
    const char* kind = "";    ///< "barrier"
    std::int64_t bytes = 0;
    double begun = 0;   ///< seconds since the record began
    double ended = -1;  ///< below 0: still under way
    /// Above 0: the how many-th sum in a device's queue; begun is when it was queued, ended when that was
    /// seen.
    std::int64_t queued = 0;
};

/// What a rank is doing just now.
struct RankState {
    std::int64_t begun = 0;   ///< collectives begun so far
    std::int64_t inside = 0;  ///< the collective its main thread waits in; 0: none, it computes
    std::string kind;         ///< of the collective it waits in, or of the last one it waited in
    double seconds = 0;       ///< that it has been waiting, or computing
    std::int64_t step = 0;    ///< of the training; 0: before the first
    std::string activity;     ///< what it works on, in words
};

/// What sums of gradients have moved so far.
struct Traffic {
    std::int64_t bytes = 0;
    double seconds = 0;  ///< while at least one was under way: begun, its end not yet seen
};

/// The last collectives of a rank, kept in a ring, and how long it waited in them. Safe from any thread; no
/// allocation after construction but for what the readers get.
class FlightRecord final : public device::SumListener {
  public:
    static constexpr std::size_t kept = 64;

    /// A collective begins; gives its number.
    std::int64_t begin(const char* kind, std::size_t bytes);
    /// The same for one whose speed is reported.
    std::int64_t begin_traffic(const char* kind, std::size_t bytes);
    void end_traffic(std::int64_t number);
    /// The main thread waits for it from now on.
    void wait(std::int64_t number);
    /// It has ended, and with it the waiting.
    void end(std::int64_t number);

    /// Sums that the device makes when its queue comes to them; nobody waits for one of them.
    void sums_queued(std::span<const device::SumCall> sums) override;
    void sums_done(std::int64_t count) override;

    void set_step(std::int64_t step) { step_.store(step, std::memory_order_relaxed); }
    RankState state() const;  ///< without the activity
    /// Seconds the main thread has waited in collectives so far.
    double waited() const;
    /// Of the collectives begun with begin_traffic().
    Traffic traffic() const;
    /// One line for each collective in the ring, oldest first:
    /// "#1234 sum of floats, 4096 bytes, 12.345 s to 12.350 s", or for one in a device's queue
    /// "#1234 sum of floats, 4096 bytes, queued at 12.345 s, seen done at 12.350 s".
    std::vector<std::string> lines() const;

  private:
    double now() const;
    CollectiveEntry& entry(std::int64_t number) { return ring_[static_cast<std::size_t>(number) % kept]; }

    const std::chrono::steady_clock::time_point origin_ = std::chrono::steady_clock::now();
    mutable std::mutex mutex_;
    std::array<CollectiveEntry, kept> ring_{};
    std::int64_t begun_ = 0;
    std::int64_t queued_ = 0;  // of them, by a device
    std::int64_t inside_ = 0;
    const char* kind_ = "";
    double since_ = 0;
    double waited_ = 0;
    Traffic traffic_;
    std::int64_t moving_ = 0;  // sums under way
    double moving_since_ = 0;
    std::atomic<std::int64_t> step_{0};
};

}  // namespace terrane::comm
