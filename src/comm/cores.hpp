#pragma once

#include <string>

#include "comm/world.hpp"

namespace terrane::comm {

/// The processor cores a rank computes with.
struct CoreShare {
    int threads = 1;        ///< for OpenMP
    int cores = 1;          ///< cores in this rank's binding
    int cores_of_host = 1;  ///< cores the job may use on this host
    std::string binding;    ///< "cores 0-3", or "none" if the rank may use every core of the host
    bool widened = false;   ///< the launcher had bound the rank to one core; it now has its share of the host
};

/// Chooses the number of threads: `requested` if above 0, else OMP_NUM_THREADS if set, else the rank's share
/// of the cores it may use, divided among the ranks with the same binding. Where Open MPI's mpirun bound each
/// rank to one core although the host has more cores than ranks, the binding is widened to the rank's share
/// first. Call before the first thread starts (threads inherit the binding). Collective over the ranks of a
/// host.
CoreShare share_cores(World& world, int requested);

}  // namespace terrane::comm
