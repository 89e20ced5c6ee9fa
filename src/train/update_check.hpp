#pragma once

#include "device/queued_sums.hpp"
#include "graph/parameter_store.hpp"
#include "graph/recorded_steps.hpp"
#include "optim/optimizer.hpp"
#include "train/saved_states.hpp"

namespace terrane::train {

/// What must be known before an update may be made: the norm of the summed gradients, and whether the running
/// statistics are finite. On a device with a queue it is queued behind the passes and recorded like them, and
/// the host reads it in the same wait as the losses.
class UpdateCheck {
  public:
    /// All outlive it.
    UpdateCheck(const optim::Optimizer& optimizer, const graph::ParameterStore& store, SavedStates& states,
                device::Backend& backend);

    /// To be called when the gradients of an update are complete, or queued to be; also copies the states
    /// aside (SavedStates::look). `step` counts updates from 0.
    void queue(std::int64_t step);
    /// Whether queue() was called since the last take().
    bool is_queued() const { return queued_; }

    struct Result {
        double norm_of_sums = 0;  ///< optim::Optimizer::norm_of_sums
        bool states_are_finite = true;
    };
    /// After the backend's next synchronise().
    Result take();

    std::size_t bytes() const { return sums_.bytes(); }  ///< on the device

  private:
    void queue_sums(std::int64_t step);

    const optim::Optimizer& optimizer_;
    const graph::ParameterStore& store_;
    SavedStates& states_;
    device::Backend& backend_;
    device::QueuedSums* const queue_;  ///< null: the backend's functions return when they are done
    device::Buffer sums_;  ///< one sum of squares for each trained run, then the count of the states
    device::Buffer read_;  ///< the same, for the host
    std::size_t places_;
    graph::RecordedSteps recorded_[2];     ///< by SavedStates::turn(): addresses differ
    std::size_t runs_ = 0, elements_ = 0;  ///< of gradients, when queued last
    bool queued_ = false;
};

}  // namespace terrane::train
