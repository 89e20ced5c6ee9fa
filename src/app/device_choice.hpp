#pragma once

#include <string>
#include <vector>

namespace terrane::app {

/// The GPU that a rank would compute on, as it finds it.
struct GpuFinding {
    std::string why_not;  ///< without a full stop; empty if it is usable

    bool usable() const { return why_not.empty(); }
};

struct DeviceChoice {
    std::string device;  ///< "cpu" or "cuda"
    std::string why;     ///< for the start banner: "auto: no CUDA device can be used: ..."
};

/// What runtime.device = "auto" means for ranks that have found this, by rank (`hosts` likewise): the GPUs if
/// every rank has one that it can use, the CPUs if none has. Throws Error E0719 (69) where only some have
/// one: ranks on CPUs would hold up the others, and GPUs that were paid for must not lie idle unnoticed.
DeviceChoice choose_device(const std::vector<GpuFinding>& findings, const std::vector<std::string>& hosts);

}  // namespace terrane::app
