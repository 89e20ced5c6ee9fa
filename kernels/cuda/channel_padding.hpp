#pragma once

#include "cuda/pack.hpp"
#include "cuda/queue.hpp"

/// Tensor cores take channels in eights. Maps with other counts are copied to rows that are filled up with
/// zeros, and results back without them.
namespace terrane::cuda {

/// The least multiple of `unit` that holds `channels`.
constexpr std::int64_t padded_channels(std::int64_t channels, std::int64_t unit) {
    return (channels + unit - 1) / unit * unit;
}

/// Queues to[row, c] = from[row, c], 0 beyond `channels`; `to` has rows of `padded` elements.
template <typename T>
void launch_pad(Queue queue, const T* from, T* to, std::int64_t rows, std::int64_t channels,
                std::int64_t padded);
/// Queues to[row, c] = from[row, c] for the first `channels` of rows of `padded` elements.
template <typename T>
void launch_strip(Queue queue, const T* from, T* to, std::int64_t rows, std::int64_t channels,
                  std::int64_t padded);

/// Sizes of a convolution's weights [outer, taps, inner] and of the padded ones.
struct WeightPadding {
    std::int64_t outer, taps, inner, padded_outer, padded_inner;

    std::int64_t padded_elements() const { return padded_outer * taps * padded_inner; }
};

/// Queues the weights' cast to T, padded.
template <typename T>
void launch_cast_padded(Queue queue, const float* from, T* to, const WeightPadding& sizes);
/// Queues what the padded gradient of the weights adds to theirs.
template <typename T>
void launch_take_padded(Queue queue, const T* from, const ParameterGradient& to, const WeightPadding& sizes);

}  // namespace terrane::cuda
