#pragma once

#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "device/backend.hpp"
#include "graph/parameter_store.hpp"
#include "graph/program.hpp"
#include "train/saved_states.hpp"

namespace terrane::train {

/// Sums over the shards of the global batch whose bits do not depend on the number of ranks
/// (runtime.deterministic = "ranks"). Gradients, running statistics and losses of the shards are added up in
/// one fixed binary tree: a rank owns an aligned part of the leaves and adds them up as they come, then pairs
/// of ranks exchange their sums, 1 apart, 2 apart, 4 apart ... Both of a pair compute a + b or b + a, which
/// is the same number, so that every rank ends with the root of the same tree.
class VirtualShards {
  public:
    /// `own`: shards of each rank, a power of two like the number of ranks. All others must outlive it.
    VirtualShards(std::int64_t own, const graph::ParameterStore& store, SavedStates& states,
                  device::Backend& backend, comm::Communicator& communicator);

    /// The store's gradients are those of this rank's shard `shard` (0, 1 ... in order), its states what that
    /// shard made of the kept ones. The states go back to the kept ones.
    void add(std::int64_t shard, const graph::LossTotals& totals);
    /// After the last shard: the store's gradients become the sum over all shards of all ranks, its states
    /// the mean. Returns the losses of all ranks. Collective.
    graph::LossTotals finish();

    std::size_t bytes() const;

  private:
    struct Sums {
        device::Buffer gradients, states;
    };

    std::span<float> floats(const device::Buffer& buffer) const;
    void exchange(std::span<float> values);

    std::int64_t own_;
    const graph::ParameterStore& store_;
    SavedStates& states_;
    device::Backend& backend_;
    comm::Communicator& communicator_;
    std::vector<Sums> waiting_;  ///< per level: a left child whose right sibling is still to come
    device::Buffer state_sums_;  ///< of the node that is complete now; its gradients are in the store
    device::Buffer zeros_;
    device::Buffer received_;
    std::vector<double> losses_;  ///< sum and normaliser of every shard of all ranks; others' are 0
};

}  // namespace terrane::train
