#pragma once

#include "cuda/resize_at.hpp"

namespace terrane::cuda {

/// Queues the bilinear resize of x [batch, in_height, in_width, channels] to y.
void launch_resize_forward(const float* x, float* y, const ResizeGeometry& geometry);
void launch_resize_forward(const bfloat16* x, bfloat16* y, const ResizeGeometry& geometry);

/// Queues its backward pass; `second` is the second gradient term or null.
void launch_resize_backward(const float* first, const float* second, float* dx,
                            const ResizeGeometry& geometry);
void launch_resize_backward(const bfloat16* first, const bfloat16* second, bfloat16* dx,
                            const ResizeGeometry& geometry);

}  // namespace terrane::cuda
