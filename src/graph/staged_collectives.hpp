#pragma once

#include <map>
#include <vector>

#include "device/backend.hpp"
#include "device/collectives.hpp"

namespace terrane::graph {

/// Collectives over device memory by collectives that need host memory: what is summed goes to the host and
/// back. With memory that the host shares nothing is copied; one rank alone has nothing to sum.
class StagedCollectives final : public device::Collectives {
  public:
    /// Both must outlive this.
    StagedCollectives(device::Backend& backend, device::Collectives& collectives)
        : backend_(backend), collectives_(collectives) {}

    int rank() const override { return collectives_.rank(); }
    int size() const override { return collectives_.size(); }
    void sum(std::span<float> values) override;
    void sum(std::span<double> values) override;
    void sum(std::span<std::int64_t> values) override;
    /// Waits until the values are written, then lets the sum run beside what follows.
    Ticket start_sum(std::span<float> values) override;
    void wait(Ticket ticket) override;

  private:
    bool passes_through() const { return backend_.shares_host_memory(); }
    template <typename T>
    void sum_staged(std::span<T> values);

    struct Pending {
        std::span<float> target;
        std::vector<float> values;
    };

    device::Backend& backend_;
    device::Collectives& collectives_;
    std::vector<std::byte> room_;
    std::map<Ticket, Pending> pending_;
};

}  // namespace terrane::graph
