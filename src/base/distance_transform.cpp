#include "base/distance_transform.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace terrane {

namespace {

/// Rounded towards minus infinity; the divisor is positive.
std::int64_t floor_divide(std::int64_t value, std::int64_t divisor) {
    const std::int64_t quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

/// Distances within each column; `far` where a column has no source.
void column_distances(const std::uint8_t* mask, std::int64_t height, std::int64_t width, std::int32_t far,
                      std::int32_t* distance) {
    for (std::int64_t x = 0; x < width; ++x) distance[x] = mask[x] != 0 ? 0 : far;
    for (std::int64_t y = 1; y < height; ++y) {
        const std::int32_t* const above = distance + (y - 1) * width;
        std::int32_t* const row = distance + y * width;
        for (std::int64_t x = 0; x < width; ++x) {
            row[x] = mask[y * width + x] != 0 ? 0 : std::min(far, above[x] + 1);
        }
    }
    for (std::int64_t y = height - 2; y >= 0; --y) {
        const std::int32_t* const below = distance + (y + 1) * width;
        std::int32_t* const row = distance + y * width;
        for (std::int64_t x = 0; x < width; ++x) row[x] = std::min(row[x], below[x] + 1);
    }
}

/// From distances within columns to squared distances, one row in place. `columns` is a copy of the row;
/// `place` and `from` hold the parabolas of the lower envelope: their columns and where each becomes the
/// lowest.
void row_distances(std::int32_t* row, std::int64_t width, std::int32_t* columns, std::int32_t* place,
                   std::int32_t* from) {
    std::copy_n(row, width, columns);
    const auto height_at = [&](std::int64_t x, std::int64_t apex) {
        const std::int64_t rise = columns[apex];
        return (x - apex) * (x - apex) + rise * rise;
    };
    std::int64_t last = 0;
    place[0] = from[0] = 0;
    for (std::int64_t x = 1; x < width; ++x) {
        while (last >= 0 && height_at(from[last], place[last]) > height_at(from[last], x)) --last;
        if (last < 0) {
            last = 0;
            place[0] = static_cast<std::int32_t>(x);
            from[0] = 0;
            continue;
        }
        const std::int64_t other = place[last];
        const std::int64_t rise = columns[x], other_rise = columns[other];
        const std::int64_t begin =
            1 + floor_divide(x * x - other * other + rise * rise - other_rise * other_rise, 2 * (x - other));
        if (begin >= width) continue;
        ++last;
        place[last] = static_cast<std::int32_t>(x);
        from[last] = static_cast<std::int32_t>(begin);
    }
    for (std::int64_t x = width - 1; x >= 0; --x) {
        row[x] = static_cast<std::int32_t>(height_at(x, place[last]));
        if (x == from[last]) --last;
    }
}

}  // namespace

void squared_distances(const std::uint8_t* mask, std::int64_t height, std::int64_t width,
                       std::int32_t* squared, std::int32_t* scratch) {
    TERRANE_ASSERT(height >= 0 && width >= 0 && height <= INT16_MAX && width <= INT16_MAX,
                   "no distances in a map of {} x {} pixels", width, height);
    const std::int64_t pixels = height * width;
    if (std::all_of(mask, mask + pixels, [](std::uint8_t source) { return source == 0; })) {
        std::fill_n(squared, pixels, no_distance);
        return;
    }
    // Farther than any two pixels are apart: a column without a source never wins against one that has some.
    const auto far = static_cast<std::int32_t>(height + width);
    column_distances(mask, height, width, far, squared);
    for (std::int64_t y = 0; y < height; ++y) {
        row_distances(squared + y * width, width, scratch, scratch + width, scratch + 2 * width);
    }
}

std::vector<std::int32_t> squared_distances(std::span<const std::uint8_t> mask, std::int64_t height,
                                            std::int64_t width) {
    TERRANE_ASSERT(static_cast<std::int64_t>(mask.size()) == height * width, "{} values for {} x {} pixels",
                   mask.size(), width, height);
    std::vector<std::int32_t> squared(mask.size());
    std::vector<std::int32_t> scratch(static_cast<std::size_t>(distance_scratch(width)));
    squared_distances(mask.data(), height, width, squared.data(), scratch.data());
    return squared;
}

}  // namespace terrane
