#pragma once

#include <cstdint>

#include "formulas/bilinear.hpp"
#include "tensor/dtype.hpp"

/// What one thread of the resize kernels does. Free of device intrinsics, so that a test without a GPU can
/// run every thread on the host.
namespace terrane::cuda {

struct ResizeGeometry {
    std::int64_t batch = 1;
    std::int64_t in_height = 1, in_width = 1;
    std::int64_t out_height = 1, out_width = 1;
    std::int64_t channels = 1;
    ops::Corners corners = ops::Corners::half_pixel;
};

/// `width` neighbouring channels, moved by one instruction when they fill 16 bytes.
template <typename T, int width>
struct alignas(sizeof(T) * width) Pack {
    T values[width];
};

/// Channels per 16 bytes.
template <typename T>
inline constexpr int full_pack = 16 / static_cast<int>(sizeof(T));

/// Work items of a pass over a map of the given size.
template <int width>
TERRANE_HOST_DEVICE constexpr std::int64_t resize_items(const ResizeGeometry& g, std::int64_t height,
                                                        std::int64_t map_width) {
    return g.batch * height * map_width * (g.channels / width);
}

/// A work item: which pixel of which map, and the first of its channels.
struct ResizeItem {
    std::int64_t sample, row, column, channel;
};

template <int width>
TERRANE_HOST_DEVICE constexpr ResizeItem resize_item(std::int64_t index, const ResizeGeometry& g,
                                                     std::int64_t height, std::int64_t map_width) {
    const std::int64_t packs = g.channels / width;
    const std::int64_t pixel = index / packs;
    return {pixel / map_width / height, pixel / map_width % height, pixel % map_width, index % packs * width};
}

template <typename T, int width>
TERRANE_HOST_DEVICE inline const Pack<T, width>& pack_at(const T* map, const ResizeGeometry& g,
                                                         const ResizeItem& item, std::int64_t height,
                                                         std::int64_t map_width, std::int64_t row,
                                                         std::int64_t column) {
    const std::int64_t element =
        ((item.sample * height + row) * map_width + column) * g.channels + item.channel;
    return *reinterpret_cast<const Pack<T, width>*>(map + element);
}

/// Forward: item `index` over the output.
template <typename T, int width>
TERRANE_HOST_DEVICE inline void resize_forward_at(const T* x, T* y, const ResizeGeometry& g,
                                                  std::int64_t index) {
    const ResizeItem item = resize_item<width>(index, g, g.out_height, g.out_width);
    const auto rows = formulas::tap<float>(item.row, g.in_height, g.out_height, g.corners);
    const auto columns = formulas::tap<float>(item.column, g.in_width, g.out_width, g.corners);
    const auto read = [&](std::int64_t row, std::int64_t column) {
        return pack_at<T, width>(x, g, item, g.in_height, g.in_width, row, column);
    };
    const Pack<T, width> p00 = read(rows.index0, columns.index0), p01 = read(rows.index0, columns.index1);
    const Pack<T, width> p10 = read(rows.index1, columns.index0), p11 = read(rows.index1, columns.index1);
    Pack<T, width> result;
    for (int c = 0; c < width; ++c) {
        result.values[c] = T(formulas::bilinear(
            rows, columns, static_cast<float>(p00.values[c]), static_cast<float>(p01.values[c]),
            static_cast<float>(p10.values[c]), static_cast<float>(p11.values[c])));
    }
    *reinterpret_cast<Pack<T, width>*>(y + index * width) = result;
}

/// Backward in gather form: item `index` over the input. `second` may be null.
template <typename T, int width>
TERRANE_HOST_DEVICE inline void resize_backward_at(const T* first, const T* second, T* dx,
                                                   const ResizeGeometry& g, std::int64_t index) {
    const ResizeItem item = resize_item<width>(index, g, g.in_height, g.in_width);
    const auto rows = formulas::targets_reading(item.row, g.in_height, g.out_height, g.corners);
    const auto columns = formulas::targets_reading(item.column, g.in_width, g.out_width, g.corners);
    float sums[width] = {};
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        const float row_weight = formulas::reading_weight(
            formulas::tap<float>(row, g.in_height, g.out_height, g.corners), item.row);
        for (std::int64_t column = columns.begin; column < columns.end; ++column) {
            const float weight =
                row_weight *
                formulas::reading_weight(formulas::tap<float>(column, g.in_width, g.out_width, g.corners),
                                         item.column);
            const auto add = [&](const T* term) {
                const Pack<T, width> dy =
                    pack_at<T, width>(term, g, item, g.out_height, g.out_width, row, column);
                for (int c = 0; c < width; ++c) sums[c] += weight * static_cast<float>(dy.values[c]);
            };
            add(first);
            if (second != nullptr) add(second);
        }
    }
    Pack<T, width> result;
    for (int c = 0; c < width; ++c) result.values[c] = T(sums[c]);
    *reinterpret_cast<Pack<T, width>*>(dx + index * width) = result;
}

}  // namespace terrane::cuda
