#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "config/scene.hpp"
#include "tensor/dtype.hpp"

namespace terrane::tiles {

/// Count, mean, sum of squared deviations and range of a stream of numbers (Welford), and of the union of two
/// streams (Chan, Golub and LeVeque). The order of additions fixes the bits.
struct Moments {
    std::int64_t count = 0;
    double mean = 0;
    double squares = 0;
    double minimum = std::numeric_limits<double>::infinity();
    double maximum = -std::numeric_limits<double>::infinity();

    void add(double value);
    void merge(const Moments& other);
    double standard_deviation() const;
};

/// The base of a relative modality: the 2nd percentile of stored * multiply + add over all valid pixels and
/// bands of a tile or window; 0 if none is valid. `values` [pixels, bands] of `dtype`, `mask` [pixels].
/// `scratch` grows to the number of values once.
float relative_base(std::span<const std::byte> values, std::span<const std::uint8_t> mask, DType dtype,
                    std::int64_t bands, const config::Modality& modality, std::vector<float>& scratch);

/// Adds the valid pixels' clamp(stored * multiply + add - base, clip_low, clip_high) to one Moments per band.
void add_moments(std::span<const std::byte> values, std::span<const std::uint8_t> mask, DType dtype,
                 float base, const config::Modality& modality, std::span<Moments> bands);

}  // namespace terrane::tiles
