#include "app/device_choice.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace terrane::app {

namespace {

constexpr std::size_t most_named = 8;

/// "rank 3 on node07 (no CUDA device can be used: ...)" of every rank without a GPU, at most a few.
std::string ranks_without(const std::vector<GpuFinding>& findings, const std::vector<std::string>& hosts) {
    std::vector<std::string> named;
    std::size_t without = 0;
    for (std::size_t rank = 0; rank < findings.size(); ++rank) {
        if (findings[rank].usable() || ++without > most_named) continue;
        named.push_back(fmt::format("rank {} on {} ({})", rank, hosts[rank], findings[rank].why_not));
    }
    if (without > most_named) named.push_back(fmt::format("{} more", without - most_named));
    return fmt::format("{}", fmt::join(named, "; "));
}

}  // namespace

DeviceChoice choose_device(const std::vector<GpuFinding>& findings, const std::vector<std::string>& hosts) {
    const auto usable = static_cast<std::size_t>(
        std::count_if(findings.begin(), findings.end(), [](const GpuFinding& one) { return one.usable(); }));
    if (usable == findings.size())
        return {"cuda", findings.size() == 1 ? "auto: there is a GPU that can be used"
                                             : "auto: every rank has a GPU that it can use"};
    if (usable == 0) return {"cpu", "auto: " + findings.front().why_not};
    throw Error(
        ExitCode::device_unavailable, 719,
        fmt::format("runtime.device = \"auto\": {} of {} ranks have a GPU that they can use, but not {}.",
                    usable, findings.size(), ranks_without(findings, hosts)),
        "Give every rank a GPU (srun --ntasks-per-node=N --gpus-per-node=N, the same on every node), or "
        "say --device cpu to compute on CPUs.");
}

}  // namespace terrane::app
