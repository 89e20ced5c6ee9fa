#include "app/banner.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "app/gpu_watch.hpp"
#include "base/log.hpp"
#include "base/printable.hpp"
#include "raster/gdal_library.hpp"
#include "report/console.hpp"
#include "tiles/hdf5_library.hpp"

namespace terrane::app {

namespace {

constexpr int most_places = 16;

// A line for each rank, with its GPU; where they are many, one for each host.
std::vector<std::string> places_of(const Invocation& invocation, const device::Backend& backend) {
    const comm::World& world = invocation.world();
    if (world.size() == 1) return {};
    std::vector<std::string> lines;
    std::string own = fmt::format("rank  {:<4} local {:<3} on {}, process {}", world.rank(),
                                  world.local_rank(), world.host(), ::getpid());
    if (!backend.device_id().empty()) own += ", " + backend.description();
    if (world.size() <= most_places) return invocation.communicator().gather(own, 0);
    std::map<std::string, std::vector<int>> hosts;
    for (int rank = 0; rank < world.size(); ++rank)
        hosts[world.hosts()[static_cast<std::size_t>(rank)]].push_back(rank);
    for (const auto& [host, ranks] : hosts)
        lines.push_back(fmt::format("ranks {} on {}", fmt::join(ranks, ","), host));
    return lines;
}

// What NCCL and CUDA read themselves, and what has to be the same on all hosts (mpirun -x).
std::vector<std::string> message_layer_variables() {
    std::vector<std::string> set;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        for (const std::string_view prefix : {"NCCL_", "GLOO_", "CUDA_DEVICE_MAX_CONNECTIONS=",
                                              "CUDA_LAUNCH_BLOCKING=", "TORCH_NCCL_ASYNC_ERROR_HANDLING="}) {
            if (text.starts_with(prefix)) set.push_back(printable(std::string(text)));
        }
    }
    std::sort(set.begin(), set.end());
    return set;
}

}  // namespace

void show_banner(const Invocation& invocation, const std::string& run, const ChosenBackend& backend) {
    const comm::World& world = invocation.world();
    report::Banner banner;
    banner.version = version();
    banner.verb = invocation.verb().name;
    if (!run.empty()) banner.run = "run=" + run;
    if (const auto job = comm::environment_variable("SLURM_JOB_ID")) {
        banner.job = "job " + *job;
        if (const auto restart = comm::environment_variable("SLURM_RESTART_COUNT"))
            banner.job += " restart " + *restart;
    }
    banner.nodes = world.nodes();
    banner.ranks = world.size();
    banner.message_layer = world.library();
    banner.launcher = fmt::format("{}: {}", comm::describe(world.launch().launcher), world.launch().source);
    banner.transport = comm::transport_of(world.launch().launcher) == comm::Transport::tcp ? "tcp" : "mpi";
    banner.master = world.master();
    banner.libraries = {"gdal " + raster::gdal_version(), "hdf5 " + tiles::hdf5_version()};
    const std::vector<std::string> loaded = backend->library_versions();
    banner.libraries.insert(banner.libraries.end(), loaded.begin(), loaded.end());
    banner.places = places_of(invocation, *backend);
    banner.device = backend.line();
    // Only a run that uses them speaks of GPUs; doctor lists them anyway.
    if (world.rank() == 0 && !backend->device_id().empty()) banner.gpus = gpu_lines();
    banner.environment = message_layer_variables();
    banner.threads = invocation.cores().threads;
    banner.binding = invocation.cores().binding;
    if (invocation.cores().widened) banner.binding += " (widened from one core)";
    log::info("{}", report::format_banner(banner));
}

}  // namespace terrane::app
