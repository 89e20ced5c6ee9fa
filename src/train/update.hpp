#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "graph/parameter_store.hpp"
#include "graph/recorded_steps.hpp"
#include "graph/staged_collectives.hpp"
#include "optim/optimizer.hpp"
#include "train/saved_states.hpp"

namespace terrane::train {

/// Updates, from complete gradients to changed parameters, without waiting: the sums that decide, their sum
/// over the ranks, the verdict, the optimizer, the running statistics that are kept or go back. On a device
/// with a queue all of it is recorded and replayed, and the host learns later what became of it.
class Update {
  public:
    /// All outlive it. `sums`: what the deciding sums are added up over the ranks with. `loss_scale`: where
    /// programs read it, in device memory. `most_passes`: of an update; `most_waiting`: updates that are
    /// queued and not taken.
    Update(optim::Optimizer& optimizer, const graph::ParameterStore& store, SavedStates& states,
           device::Backend& backend, device::Collectives& sums, float* loss_scale, std::int64_t most_passes,
           std::size_t most_waiting);

    /// Queues an update behind passes that leave their losses where `losses` says. Collective where sums are.
    void queue(const device::UpdateOrder& order, const device::PassLosses& losses);

    struct Result {
        device::UpdateRecord record;
        std::span<const double> losses;  ///< of its passes: sum, normaliser; valid until as many as may wait
                                         ///< are queued
    };
    /// The oldest update that is queued and not taken; waits until it is done.
    Result take();
    std::size_t waiting() const { return waiting_; }

    std::size_t bytes() const { return counts_.bytes(); }  ///< on the device

  private:
    /// Where the host finds one update's result.
    struct Place {
        device::Buffer memory;  ///< the record, then the losses
        std::unique_ptr<device::Backend::Mark> mark;
        std::int64_t passes = 0;
    };
    /// Recorded for the addresses of these losses.
    struct Recorded {
        device::PassLosses losses;
        graph::RecordedSteps steps;
    };

    Recorded& recorded_for(const device::PassLosses& losses);
    void run(std::size_t part);
    std::span<double> counts() const;

    optim::Optimizer& optimizer_;
    const graph::ParameterStore& store_;
    SavedStates& states_;
    device::Backend& backend_;
    graph::StagedCollectives sums_;
    float* const loss_scale_;
    device::Buffer counts_;  ///< of states that are not finite
    std::deque<Recorded> recorded_;
    device::PassLosses losses_;  ///< of the update being queued
    std::vector<Place> places_;
    std::size_t next_ = 0;  ///< place of the next update to be queued
    std::size_t waiting_ = 0;
};

}  // namespace terrane::train
