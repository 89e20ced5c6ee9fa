#pragma once

#include "comm/communicator.hpp"
#include "device/backend.hpp"
#include "graph/parameter_store.hpp"
#include "optim/optimizer.hpp"

namespace terrane::train {

/// Rank 0's parameters and saved states on every rank. Collective.
void broadcast_model(const graph::ParameterStore& store, device::Backend& backend,
                     comm::Communicator& communicator);
/// Rank 0's saved states (running statistics) on every rank: what an evaluation runs with. Collective.
void broadcast_states(const graph::ParameterStore& store, device::Backend& backend,
                      comm::Communicator& communicator);
/// Rank 0's moments on every rank. Collective.
void broadcast_moments(optim::Optimizer& optimizer, device::Backend& backend,
                       comm::Communicator& communicator);

/// Throws Error E0810 (82) on every rank if the parameters are not the same bits everywhere. Collective.
void require_equal_parameters(const graph::ParameterStore& store, device::Backend& backend,
                              comm::Communicator& communicator);

/// The same while training: a 64-bit checksum of every parameter is compared. Throws Error E0521 (80) on
/// every rank, naming the ranks whose parameters differ from those of most ranks (from rank 0's, if there is
/// no such majority) and the first tensors that do. Collective.
void require_equal_replicas(const graph::ParameterStore& store, device::Backend& backend,
                            comm::Communicator& communicator);

}  // namespace terrane::train
