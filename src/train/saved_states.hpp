#pragma once

#include <span>
#include <utility>
#include <vector>

#include "device/backend.hpp"
#include "graph/parameter_store.hpp"

namespace terrane::train {

/// A second copy, on the device, of what forward passes change: the running statistics of batch norm. A
/// mini-batch that is not finite would spoil them for good (even one whose loss and gradients are finite: an
/// infinite variance makes zeros of everything), so they go back to what they were before it.
class SavedStates {
  public:
    /// Both must outlive it. Programs must have adopted all their states before.
    SavedStates(const graph::ParameterStore& store, device::Backend& backend);

    void look();     ///< copies the states aside
    void keep();     ///< what was looked at last becomes the copy
    void restore();  ///< the states become what the copy is
    std::size_t bytes() const { return kept_.bytes() + seen_.bytes(); }

    /// 0 or 1: which of two places look() copies to next; keep() changes it.
    int turn() const { return turn_; }

    /// Floats of all states together, and what was looked at last, in the order of the store.
    std::span<float> seen() const;
    void write(std::span<const float> values);  ///< sets the states

  private:
    device::Backend& backend_;
    std::vector<TensorView> states_;
    device::Buffer kept_, seen_;
    int turn_ = 0;
};

}  // namespace terrane::train
