#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace terrane::app {

/// The GPUs that a process may choose among, before CUDA has looked for them.
struct GpuSight {
    std::optional<std::string> visible{};  ///< CUDA_VISIBLE_DEVICES
    std::optional<std::size_t> machine{};  ///< how many NVML counts; none: it can't be asked
};
/// As this process finds it.
GpuSight look_for_gpus();

/// The value of CUDA_VISIBLE_DEVICES that shows nothing but the GPUs of runtime.gpu_ids, in that order, so
/// that local rank n takes the n-th: `ids` (not empty) count among those in sight. Empty where the variable
/// stays as it is: there is no GPU, or the launcher shows each of a host's several ranks one of its own.
/// Throws Error E0715 (69) if there is no GPU of that number.
std::optional<std::string> select_gpus(const std::vector<std::int64_t>& ids, const GpuSight& sight,
                                       int ranks_of_host);

/// Throws Error E0715 (69) if a host has more ranks than `ids` names GPUs; `hosts` by rank.
void require_gpu_per_rank(const std::vector<std::int64_t>& ids, const std::vector<std::string>& hosts);

}  // namespace terrane::app
