#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "device/sum_calls.hpp"

namespace terrane::device {

/// What a training step asks of the other ranks. Sums are in place, element by element over all ranks, and
/// equal bits for equal inputs and world size. comm::Communicator implements it; `SingleRank` below is the
/// world of one.
class Collectives {
  public:
    using Ticket = std::int64_t;

    virtual ~Collectives() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;

    virtual void sum(std::span<float> values) = 0;
    virtual void sum(std::span<double> values) = 0;
    virtual void sum(std::span<std::int64_t> values) = 0;

    /// Begins the sum of a gradient bucket; the values may be neither read nor written until wait() returned.
    /// Buckets are started in the same order on every rank.
    virtual Ticket start_sum(std::span<float> values) = 0;
    virtual void wait(Ticket ticket) = 0;

    /// Whether sums are work in the backend's queue: values lie in its memory, calls return at once, what is
    /// queued later sees the sums, and a recording holds them like any other work.
    virtual bool are_queued() const { return false; }
    /// Until it is called with null, queued sums are only recorded: each is noted in `calls` and not
    /// announced.
    virtual void note_calls(std::vector<SumCall>* /*calls*/) {}
    /// A recording that holds these sums goes into the queue.
    virtual void announce(std::span<const SumCall> /*calls*/) {}
    /// Asked again and again while the host waits for queued sums, for `waited` so far. Throws an Error if
    /// they can't come to an end any more.
    virtual void check(std::chrono::duration<double> /*waited*/) {}
    /// Ends queued sums that wait for other ranks; from any thread. Nothing can be summed afterwards.
    virtual void give_up() noexcept {}
};

/// One rank alone: every sum is what it was.
class SingleRank final : public Collectives {
  public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    void sum(std::span<float>) override {}
    void sum(std::span<double>) override {}
    void sum(std::span<std::int64_t>) override {}
    Ticket start_sum(std::span<float>) override { return 0; }
    void wait(Ticket) override {}
};

}  // namespace terrane::device
