#pragma once

#include <span>
#include <vector>

#include "device/backend.hpp"
#include "graph/parameter_store.hpp"

namespace terrane::train {

/// A second copy, on the device, of what forward passes change: the running statistics of batch norm. A
/// mini-batch that is not finite would spoil them for good (even one whose loss and gradients are finite: an
/// infinite variance makes zeros of everything), so they go back to what they were before it. Everything is
/// only queued.
class SavedStates {
  public:
    /// Both must outlive it. Programs must have adopted all their states before.
    SavedStates(const graph::ParameterStore& store, device::Backend& backend);

    void keep();     ///< the copy becomes what the states are
    void restore();  ///< the states become what the copy is
    /// The one or the other, by an update's verdict; in device memory.
    void settle(const device::UpdateRecord* record);

    std::size_t counts() const { return blocks_.size(); }
    /// Writes counts() counts of values that are not finite to device memory.
    void count_not_finite(double* counts) const;

    std::size_t size() const { return kept_.bytes() / sizeof(float); }  ///< floats of all states together
    void read(std::span<float> values) const;   ///< what the states are, on the device
    void write(std::span<const float> values);  ///< sets the states, likewise
    std::size_t bytes() const { return kept_.bytes(); }

  private:
    /// Calls visit(a block of the states, its copy).
    template <typename Visit>
    void for_each_block(Visit visit) const;
    std::span<float> kept() const { return {reinterpret_cast<float*>(kept_.data()), size()}; }

    device::Backend& backend_;
    std::vector<std::span<float>> blocks_;
    device::Buffer kept_;
};

}  // namespace terrane::train
