#pragma once

#include <cstdint>

#include "cuda/queue.hpp"
#include "tensor/dtype.hpp"

namespace terrane::cuda {

/// Gradients as bf16, to be summed over ranks, and back. Pointers as the flat buffers align them (64 bytes).
void narrow(Queue queue, const float* values, bfloat16* narrowed, std::int64_t count);
void widen(Queue queue, const bfloat16* narrowed, float* values, std::int64_t count);

}  // namespace terrane::cuda
