#include "app/gpu_selection.hpp"

#include <fmt/format.h>

#include <map>
#include <sstream>

#include "base/error.hpp"
#include "comm/launch.hpp"
#include "nvml/library.hpp"

namespace terrane::app {

namespace {

[[noreturn]] void refuse(const std::string& message, const std::string& fix) {
    throw Error(ExitCode::device_unavailable, 715, message, fix);
}

std::vector<std::string> entries_of(const std::string& visible) {
    std::vector<std::string> entries;
    std::istringstream list(visible);
    for (std::string one; std::getline(list, one, ',');) entries.push_back(one);
    return entries;
}

}  // namespace

GpuSight look_for_gpus() {
    GpuSight sight{.visible = comm::environment_variable("CUDA_VISIBLE_DEVICES")};
    if (const auto library = nvml::Library::open()) sight.machine = library->gpus().size();
    return sight;
}

std::optional<std::string> select_gpus(const std::vector<std::int64_t>& ids, const GpuSight& sight,
                                       int ranks_of_host) {
    std::vector<std::string> shown;
    if (sight.visible) shown = entries_of(*sight.visible);
    if (sight.visible ? shown.empty() : sight.machine == 0u) return std::nullopt;
    if (ranks_of_host > 1 && shown.size() == 1) return std::nullopt;
    std::vector<std::string> selected;
    for (const std::int64_t id : ids) {
        const auto place = static_cast<std::size_t>(id);
        if (sight.visible && place >= shown.size()) {
            refuse(fmt::format("runtime.gpu_ids names GPU {}, but CUDA_VISIBLE_DEVICES=\"{}\" shows {}.", id,
                               *sight.visible, shown.size()),
                   "runtime.gpu_ids (--gpu-ids) counts the visible GPUs, from 0.");
        }
        if (!sight.visible && sight.machine && place >= *sight.machine) {
            refuse(fmt::format("runtime.gpu_ids names GPU {}, but this machine has {}.", id, *sight.machine),
                   "runtime.gpu_ids (--gpu-ids) counts them from 0; 'nvidia-smi -L' lists them.");
        }
        selected.push_back(sight.visible ? shown[place] : std::to_string(id));
    }
    return fmt::format("{}", fmt::join(selected, ","));
}

void require_gpu_per_rank(const std::vector<std::int64_t>& ids, const std::vector<std::string>& hosts) {
    std::map<std::string, std::size_t> ranks;
    for (const std::string& host : hosts) {
        const std::size_t here = ++ranks[host];
        if (here <= ids.size()) continue;
        refuse(
            fmt::format("runtime.gpu_ids = [{}] names {} for the ranks of a host, but {} has more ranks.",
                        fmt::join(ids, ", "),
                        ids.size() == 1 ? "one GPU" : fmt::format("{} GPUs", ids.size()), host),
            fmt::format("Name a GPU for each rank (--gpu-ids 0,1,...), start {} per host, or leave "
                        "runtime.gpu_ids out (-s runtime.gpu_ids=[]): each rank takes the GPU of its local "
                        "rank.",
                        ids.size() == 1 ? "one rank" : fmt::format("{} ranks", ids.size())));
    }
}

}  // namespace terrane::app
