#include "comm/cores.hpp"

#include <fmt/format.h>
#include <hwloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::comm {

namespace {

struct BitmapDelete {
    void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, BitmapDelete>;

struct TopologyDelete {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, TopologyDelete>;

Topology load_topology() {
    hwloc_topology_t raw = nullptr;
    if (hwloc_topology_init(&raw) != 0) return nullptr;
    Topology topology(raw);
    if (hwloc_topology_load(raw) != 0) return nullptr;
    return topology;
}

// The cores of which the set holds at least one hardware thread, as logical indices.
std::vector<int> cores_in(hwloc_topology_t topology, hwloc_const_bitmap_t set) {
    std::vector<int> cores;
    const int count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    for (int i = 0; i < count; ++i) {
        const hwloc_obj_t core = hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, static_cast<unsigned>(i));
        if (hwloc_bitmap_intersects(core->cpuset, set) != 0) cores.push_back(i);
    }
    return cores;
}

std::string as_list(const std::vector<int>& cores) {
    std::string text;
    for (std::size_t i = 0; i < cores.size(); ++i) {
        std::size_t last = i;
        while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
        text += fmt::format("{}{}", text.empty() ? "" : ",", cores[i]);
        if (last > i) text += fmt::format("-{}", cores[last]);
        i = last;
    }
    return text;
}

// The part of `count` things that belongs to `index` of `parts`, as even as possible.
std::pair<std::size_t, std::size_t> part_of(std::size_t count, std::size_t index, std::size_t parts) {
    return {count * index / parts, count * (index + 1) / parts};
}

int threads_from_environment() {
    const auto text = environment_variable("OMP_NUM_THREADS");
    int value = 0;
    // The variable may be a list for nested regions; its first number counts.
    if (text) std::from_chars(text->data(), text->data() + text->size(), value);
    return std::max(value, 0);
}

bool widen(hwloc_topology_t topology, const World& world, hwloc_bitmap_t usable, std::vector<int>& cores) {
    const auto all = cores_in(topology, usable);
    const auto ranks = static_cast<std::size_t>(world.local_size());
    if (all.size() <= ranks) return false;
    const auto [first, end] = part_of(all.size(), static_cast<std::size_t>(world.local_rank()), ranks);
    const Bitmap target(hwloc_bitmap_alloc());
    for (std::size_t i = first; i < end; ++i) {
        const hwloc_obj_t core =
            hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, static_cast<unsigned>(all[i]));
        hwloc_bitmap_or(target.get(), target.get(), core->cpuset);
    }
    if (hwloc_set_cpubind(topology, target.get(), HWLOC_CPUBIND_PROCESS) != 0) {
        log::warning("the binding to one core could not be widened; start mpirun with --bind-to none");
        return false;
    }
    cores.assign(all.begin() + static_cast<std::ptrdiff_t>(first),
                 all.begin() + static_cast<std::ptrdiff_t>(end));
    return true;
}

}  // namespace

CoreShare share_cores(World& world, int requested) {
    CoreShare share;
    const Topology topology = load_topology();
    const Bitmap own(hwloc_bitmap_alloc());
    const Bitmap usable(hwloc_bitmap_alloc());
    if (topology == nullptr || hwloc_get_cpubind(topology.get(), own.get(), HWLOC_CPUBIND_PROCESS) != 0) {
        share.binding = "unknown";
        share.threads = std::max({1, requested, requested > 0 ? 0 : threads_from_environment()});
        log::warning("the processor topology can't be read; using {} threads", share.threads);
        return share;
    }

    // What the user allowed the job: the launcher's own binding (taskset, a container), not that of this
    // rank.
    hwloc_bitmap_copy(usable.get(), hwloc_topology_get_allowed_cpuset(topology.get()));
    if (world.launch().launcher == Launcher::open_mpi) {
        const Bitmap launcher(hwloc_bitmap_alloc());
        if (hwloc_get_proc_cpubind(topology.get(), ::getppid(), launcher.get(), 0) == 0) {
            hwloc_bitmap_and(usable.get(), usable.get(), launcher.get());
        }
        hwloc_bitmap_or(usable.get(), usable.get(), own.get());
    }

    std::vector<int> cores = cores_in(topology.get(), own.get());
    const std::string binding = as_list(cores);
    const auto bindings = world.all_gather_on_host(binding);
    const bool bound_to_one = cores.size() == 1 && world.launch().launcher == Launcher::open_mpi;
    share.widened = bound_to_one && widen(topology.get(), world, usable.get(), cores);

    std::size_t sharing = 1;
    std::size_t place = 0;
    if (!share.widened) {
        sharing = static_cast<std::size_t>(std::count(bindings.begin(), bindings.end(), binding));
        place = static_cast<std::size_t>(
            std::count(bindings.begin(), bindings.begin() + world.local_rank(), binding));
    }
    const auto [first, end] = part_of(cores.size(), place, sharing);
    share.cores = static_cast<int>(cores.size());
    share.cores_of_host = static_cast<int>(cores_in(topology.get(), usable.get()).size());
    share.binding =
        share.cores == share.cores_of_host && world.local_size() > 1 ? "none" : "cores " + as_list(cores);
    share.threads = std::max(1, static_cast<int>(end - first));
    if (requested > 0) {
        share.threads = requested;
    } else if (const int from_environment = threads_from_environment(); from_environment > 0) {
        share.threads = from_environment;
    }
    return share;
}

}  // namespace terrane::comm
