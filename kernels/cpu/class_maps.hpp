#pragma once

#include <algorithm>

#include "cpu/class_rows.hpp"
#include "formulas/class_loss.hpp"

/// Maps [N, K, H, W] at the labels' resolution, for the losses whose slope by a pixel's probability depends
/// on the whole label map (Lovász-softmax, boundary).
namespace terrane::cpu {

/// Work on single planes of a map is shared out to this many memories, each taking every most_planes-th
/// plane: how much memory is needed does not depend on the thread count.
inline constexpr std::int64_t most_planes = 16;

/// body(memory, plane) for every plane.
template <typename Body>
void for_each_plane(std::int64_t planes, std::int64_t bytes, const Body& body) {
    const std::int64_t memories = std::min(planes, most_planes);
    parallel_blocks(memories, bytes, [&](std::int64_t memory) {
        for (std::int64_t plane = memory; plane < planes; plane += memories) body(memory, plane);
    });
}

/// Turns a row of upsampled logits into slopes by them, from a map of slopes by the probabilities; pixels
/// without a valid label have slope 0 in the map.
struct MapSlopes {
    const float* map;

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        float* const mean = row.scratch(2);
        soften(row);
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x) mean[x] = 0;
        for (std::int64_t c = 0; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
            const float* const slope = slopes(row, height, c);
#pragma omp simd
            for (std::int64_t x = 0; x < row.width; ++x) mean[x] += plane[x] * slope[x];
        }
        for (std::int64_t c = 0; c < row.classes; ++c) {
            float* const plane = row.plane(c);
            const float* const slope = slopes(row, height, c);
#pragma omp simd
            for (std::int64_t x = 0; x < row.width; ++x) {
                plane[x] = formulas::softmax_slope(plane[x], slope[x], mean[x]);
            }
        }
    }

    TERRANE_INLINE const float* slopes(const ClassRow& row, std::int64_t height, std::int64_t c) const {
        return map + ((row.sample * row.classes + c) * height + row.y) * row.width;
    }
};

}  // namespace terrane::cpu
