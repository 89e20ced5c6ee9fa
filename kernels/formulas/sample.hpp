#pragma once

#include <cmath>
#include <cstdint>

#include "base/philox.hpp"
#include "device/sample_kernels.hpp"
#include "formulas/host_device.hpp"

/// Cutting, turning and normalising samples; see device/sample_kernels.hpp. Positions are in double, so that
/// every backend reads the same pixels.
namespace terrane::formulas {

/// A position in a tile, in the tile's own pixels (top left corner of the first pixel = 0, its centre = 0.5).
struct TilePosition {
    double column = 0;
    double row = 0;
};

/// Where the centre of output pixel (x, y) lies, for a modality of `scale` reference pixels per pixel.
TERRANE_HOST_DEVICE inline TilePosition tile_position(const device::SampleTransform& transform,
                                                      std::int64_t x, std::int64_t y, std::int64_t scale) {
    const double size = static_cast<double>(scale);
    const double centre_x = (static_cast<double>(x) + 0.5) * size;
    const double centre_y = (static_cast<double>(y) + 0.5) * size;
    return {(transform.xx * centre_x + transform.xy * centre_y + transform.x0) / size,
            (transform.yx * centre_x + transform.yy * centre_y + transform.y0) / size};
}

/// Closer than this to a pixel's centre counts as on it: a quarter turn made with sines and cosines then
/// still copies pixels exactly.
inline constexpr double on_centre = 1e-6;

/// The up to four pixels around a position. A weight is 0 for a pixel outside the tile or without influence.
struct TileTaps {
    std::int64_t row[2] = {0, 0};
    std::int64_t column[2] = {0, 0};
    float row_weight[2] = {0, 0};
    float column_weight[2] = {0, 0};
};

/// Along one axis: fills two indices and weights. `position` is in pixels; both weights are 0 outside
/// [0, length].
TERRANE_HOST_DEVICE inline void axis_taps(double position, std::int64_t length, std::int64_t index[2],
                                          float weight[2]) {
    index[0] = index[1] = 0;
    weight[0] = weight[1] = 0;
    if (!(position >= -on_centre && position <= static_cast<double>(length) + on_centre)) return;
    const double centred = position - 0.5;
    double lower = std::floor(centred);
    double fraction = centred - lower;
    if (fraction < on_centre) fraction = 0;
    if (fraction > 1 - on_centre) {
        lower += 1;
        fraction = 0;
    }
    const auto first = static_cast<std::int64_t>(lower);
    if (first >= 0 && first < length) {
        index[0] = first;
        weight[0] = static_cast<float>(1 - fraction);
    }
    if (first + 1 >= 0 && first + 1 < length) {
        index[1] = first + 1;
        weight[1] = static_cast<float>(fraction);
    }
}

TERRANE_HOST_DEVICE inline TileTaps tile_taps(const TilePosition& position, std::int64_t height,
                                              std::int64_t width) {
    TileTaps taps;
    axis_taps(position.row, height, taps.row, taps.row_weight);
    axis_taps(position.column, width, taps.column, taps.column_weight);
    return taps;
}

/// The weights of the four pixels (row-major) among the valid ones, summing to 1; all 0 where nothing valid
/// is near. `validity` is the u8 [height, width] mask of the tile.
struct ValidWeights {
    float weight[4] = {0, 0, 0, 0};
    bool any = false;
};

TERRANE_HOST_DEVICE inline ValidWeights valid_weights(const TileTaps& taps, const std::uint8_t* validity,
                                                      std::int64_t width) {
    ValidWeights result;
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
        const float weight = taps.row_weight[i / 2] * taps.column_weight[i % 2];
        if (weight > 0 && validity[taps.row[i / 2] * width + taps.column[i % 2]] != 0) {
            result.weight[i] = weight;
            sum += weight;
        }
    }
    if (!(sum > 0)) return result;
    for (float& weight : result.weight) weight /= sum;
    result.any = true;
    return result;
}

/// The stored value at a position: only pixels of positive weight are touched, so that what an invalid pixel
/// holds (even NaN) never enters. `stored` points at the tile's first element of the wanted band.
template <typename Real, typename Stored>
TERRANE_HOST_DEVICE inline Real sampled(const TileTaps& taps, const ValidWeights& weights,
                                        const Stored* stored, std::int64_t width, std::int64_t bands) {
    Real value = 0;
    for (int i = 0; i < 4; ++i) {
        if (weights.weight[i] > 0) {
            const std::int64_t pixel = taps.row[i / 2] * width + taps.column[i % 2];
            value += static_cast<Real>(weights.weight[i]) * static_cast<Real>(stored[pixel * bands]);
        }
    }
    return value;
}

/// From a stored value to network input, without the noise.
template <typename Real>
TERRANE_HOST_DEVICE inline Real normalised(Real stored, const device::BandNormalisation& band, float base,
                                           float gain, float shift) {
    Real value =
        stored * static_cast<Real>(band.multiply) + static_cast<Real>(band.add) - static_cast<Real>(base);
    if (value < static_cast<Real>(band.clip_low)) value = static_cast<Real>(band.clip_low);
    if (value > static_cast<Real>(band.clip_high)) value = static_cast<Real>(band.clip_high);
    return (value - static_cast<Real>(band.mean)) * static_cast<Real>(band.inverse_deviation) *
               static_cast<Real>(gain) +
           static_cast<Real>(shift);
}

/// A standard normal number (Box and Muller) for element `index` of the output, row-major.
template <typename Real>
TERRANE_HOST_DEVICE inline Real sample_noise(std::uint64_t key, std::int64_t index) {
    const auto words = Philox::draw(key, 0, static_cast<std::uint64_t>(index));
    const Real radius =
        std::sqrt(Real{-2} * std::log(Real{1} - static_cast<Real>(Philox::uniform(words[0]))));
    return radius * std::cos(Real(6.283185307179586476925) * static_cast<Real>(Philox::uniform(words[1])));
}

/// The index of the pixel that holds a position, or -1 outside the tile.
TERRANE_HOST_DEVICE inline std::int64_t nearest_pixel(const TilePosition& position, std::int64_t height,
                                                      std::int64_t width) {
    if (!(position.row >= 0 && position.row < static_cast<double>(height) && position.column >= 0 &&
          position.column < static_cast<double>(width))) {
        return -1;
    }
    return static_cast<std::int64_t>(position.row) * width + static_cast<std::int64_t>(position.column);
}

}  // namespace terrane::formulas
