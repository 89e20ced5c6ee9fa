#pragma once

#include <memory>

#include "device/backend.hpp"

namespace terrane::cpu {

/// The backend for the host's cores: oneDNN where the arithmetic is (convolution, products of matrices),
/// our own OpenMP kernels for everything bound by memory. Uses as many threads as OpenMP grants the calling
/// thread (OMP_NUM_THREADS, or what the program set), fixed when the backend is made. Throws Error E0712 (69)
/// in a bundle where something else stands in oneDNN's place (scripts/bundle.sh).
std::unique_ptr<device::Backend> make_cpu_backend();

}  // namespace terrane::cpu
