#pragma once

#include "cuda/pack.hpp"
#include "cuda/queue.hpp"
#include "cuda/sums.hpp"

/// What plans around vendor libraries do with parameters: casts, sums of gradients over rows.
namespace terrane::cuda {

/// Queues to[i] = from[i].
void launch_cast(Queue queue, const float* from, bfloat16* to, std::int64_t count);
void launch_cast(Queue queue, const float* from, float16* to, std::int64_t count);
/// Queues to[i] = from[i], or to[i] += from[i].
void launch_take(Queue queue, const float* from, const ParameterGradient& to, std::int64_t count);

/// Queues y[row, c] += bias[c].
void launch_add_bias(Queue queue, float* y, const float* bias, std::int64_t rows, std::int64_t channels);
void launch_add_bias(Queue queue, bfloat16* y, const float* bias, std::int64_t rows, std::int64_t channels);
void launch_add_bias(Queue queue, float16* y, const float* bias, std::int64_t rows, std::int64_t channels);

/// Sums of dy [rows, channels] over the rows; `partials` holds geometry.bytes(1).
void launch_bias_gradient(Queue queue, const ColumnGeometry& geometry, const Terms<float>& dy,
                          const ParameterGradient& target, double* partials);
void launch_bias_gradient(Queue queue, const ColumnGeometry& geometry, const Terms<bfloat16>& dy,
                          const ParameterGradient& target, double* partials);
void launch_bias_gradient(Queue queue, const ColumnGeometry& geometry, const Terms<float16>& dy,
                          const ParameterGradient& target, double* partials);

}  // namespace terrane::cuda
