#pragma once

#include <vector>

#include "device/backend.hpp"
#include "device/collectives.hpp"

namespace terrane::graph {

/// Collectives over device memory by collectives that need host memory: what is summed goes to the host and
/// back, through memory that the device copies fastest, which is kept for the next sums. With memory that the
/// host shares, and with sums that the device's own queue makes, nothing is copied; one rank alone has
/// nothing to sum.
class StagedCollectives final : public device::Collectives {
  public:
    /// Both must outlive this.
    StagedCollectives(device::Backend& backend, device::Collectives& collectives)
        : backend_(backend), collectives_(collectives) {}

    int rank() const override { return collectives_.rank(); }
    int size() const override { return collectives_.size(); }
    bool are_queued() const override { return collectives_.are_queued(); }
    void sum(std::span<float> values) override;
    void sum(std::span<double> values) override;
    void sum(std::span<std::int64_t> values) override;
    /// By way of the host: waits until the values are written, then lets the sum run beside what follows.
    Ticket start_sum(std::span<float> values) override;
    void wait(Ticket ticket) override;

  private:
    bool passes_through() const { return backend_.shares_host_memory() || collectives_.are_queued(); }
    template <typename T>
    void sum_staged(std::span<T> values);

    /// A sum of floats under way. Slots and their memory are used again: a step allocates nothing.
    struct Slot {
        bool busy = false;
        Ticket ticket = 0;
        std::span<float> target;
        device::Buffer memory;

        std::span<float> values() const { return {reinterpret_cast<float*>(memory.data()), target.size()}; }
    };

    device::Backend& backend_;
    device::Collectives& collectives_;
    device::Buffer room_;
    std::vector<Slot> slots_;
};

}  // namespace terrane::graph
