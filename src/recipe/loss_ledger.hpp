#pragma once

#include "graph/program.hpp"

namespace terrane::recipe {

/// Losses of the passes that lead to an update, in device memory: passes write them, the update reads them.
class LossLedger {
  public:
    /// `passes`: the most of any update. The backend must outlive it.
    LossLedger(device::Backend& backend, std::int64_t passes)
        : backend_(backend), memory_(backend.allocate(static_cast<std::size_t>(passes) * pass_bytes)) {}

    /// Where Program::total_losses of a pass goes.
    double* of_pass(std::int64_t pass) const {
        return reinterpret_cast<double*>(memory_.data() + static_cast<std::size_t>(pass) * pass_bytes);
    }
    device::PassLosses of_first(std::int64_t passes) const { return {of_pass(0), passes, 1}; }
    /// The sum over some passes, when the device has come there.
    graph::LossTotals wait_for(std::int64_t first, std::int64_t count) const;
    std::size_t bytes() const { return memory_.bytes(); }

  private:
    static constexpr std::size_t pass_bytes = 2 * sizeof(double);

    device::Backend& backend_;
    device::Buffer memory_;
};

}  // namespace terrane::recipe
