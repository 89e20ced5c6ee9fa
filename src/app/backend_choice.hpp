#pragma once

#include <memory>
#include <string>

#include "device/backend.hpp"

namespace terrane::app {

/// The backend for runtime.device: cpu, ref, cuda, or auto (cuda if a device is there, else cpu).
/// Throws Error E0712 (69) if cuda is asked for and can't be had.
std::unique_ptr<device::Backend> choose_backend(const std::string& device);

/// "fp32" or "bf16" as the type of activations.
DType compute_type(const std::string& precision);

}  // namespace terrane::app
