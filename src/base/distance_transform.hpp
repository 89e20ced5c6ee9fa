#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// Exact Euclidean distance transforms of masks, in time proportional to the number of pixels: one pass over
/// the columns, then the lower envelope of parabolas along each row (Meijster, Roerdink and Hesselink 2000;
/// Felzenszwalb and Huttenlocher 2012), all in integers.
namespace terrane {

/// The squared distance where there is no source at all.
inline constexpr std::int32_t no_distance = INT32_MAX;

/// How many integers of scratch the transform of a map of that width needs.
constexpr std::int64_t distance_scratch(std::int64_t width) {
    return 3 * width;
}

/// Squared distance in pixels from every pixel of a map [height, width] to the nearest one whose mask is not
/// 0, or no_distance. Edges of up to 32767 pixels. Allocates nothing.
void squared_distances(const std::uint8_t* mask, std::int64_t height, std::int64_t width,
                       std::int32_t* squared, std::int32_t* scratch);

/// The same with memory of its own.
std::vector<std::int32_t> squared_distances(std::span<const std::uint8_t> mask, std::int64_t height,
                                            std::int64_t width);

}  // namespace terrane
