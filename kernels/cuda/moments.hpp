#pragma once

#include "cuda/pack.hpp"

namespace terrane::cuda {

/// Adds to column sums a pack of x, and its squares: what mean and variance are made of.
template <int width, typename T>
TERRANE_HOST_DEVICE inline void add_moments(const Pack<T, width>& x, double (&own)[2][width]) {
    float values[width];
    widen_pack<width>(x, values);
    for (int i = 0; i < width; ++i) {
        const double value = static_cast<double>(values[i]);
        own[0][i] += value;
        own[1][i] += value * value;
    }
}

}  // namespace terrane::cuda
