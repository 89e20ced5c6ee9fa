#pragma once

#include <memory>
#include <string>

#include "device/backend.hpp"

namespace terrane::app {

/// The backend for runtime.device: cpu, ref, cuda, or auto, which means cpu as long as the CUDA backend can't
/// run a network (docs/gpu-status.md). Throws Error E0712 or E0713 (69) if cuda is asked for and can't be
/// had.
std::unique_ptr<device::Backend> choose_backend(const std::string& device);

}  // namespace terrane::app
