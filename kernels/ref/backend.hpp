#pragma once

#include <memory>

#include "device/backend.hpp"

namespace terrane::ref {

/// The reference backend: naive loops on host memory, all arithmetic in double. Slow, readable, and what the
/// other backends are compared with. Takes f32, f64, bf16 and f16 activations.
std::unique_ptr<device::Backend> make_ref_backend();

}  // namespace terrane::ref
