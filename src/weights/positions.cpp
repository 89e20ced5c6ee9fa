#include "weights/positions.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace terrane::weights {

namespace {

/// The source positions that one target position reads, and their weights.
struct Taps {
    std::array<std::int64_t, 4> index{};
    std::array<double, 4> weight{};
};

// The cubic convolution kernel of Keys 1981 with a = -0.75.
double cubic(double distance) {
    constexpr double a = -0.75;
    const double x = std::abs(distance);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return a * (((x - 5) * x + 8) * x - 4);
    return 0;
}

Taps taps_for(std::int64_t target, std::int64_t from, std::int64_t to, PositionResize method) {
    const double centre =
        (static_cast<double>(target) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    const double source = method == PositionResize::bilinear ? std::max(centre, 0.0) : centre;
    const auto base = static_cast<std::int64_t>(std::floor(source));
    const double part = source - static_cast<double>(base);
    Taps taps;
    for (std::int64_t i = 0; i < 4; ++i) {
        const std::int64_t offset = i - 1;
        taps.index[static_cast<std::size_t>(i)] = std::clamp<std::int64_t>(base + offset, 0, from - 1);
        const double distance = part - static_cast<double>(offset);
        taps.weight[static_cast<std::size_t>(i)] =
            method == PositionResize::bicubic ? cubic(distance) : std::max(0.0, 1 - std::abs(distance));
    }
    return taps;
}

}  // namespace

PositionGrid position_grid(std::int64_t tokens) {
    auto edge = static_cast<std::int64_t>(std::sqrt(static_cast<double>(tokens)));
    while (edge > 0 && edge * edge > tokens) --edge;
    return {edge, tokens - edge * edge};
}

std::vector<float> resize_positions(std::span<const float> table, std::int64_t channels, std::int64_t tokens,
                                    PositionResize method) {
    const PositionGrid from = position_grid(static_cast<std::int64_t>(table.size()) / channels);
    const PositionGrid to = position_grid(tokens);
    std::vector<float> result(static_cast<std::size_t>(tokens * channels), 0.0f);
    const auto kept = static_cast<std::size_t>(std::min(from.extra, to.extra) * channels);
    std::copy_n(table.begin(), kept, result.begin());

    const auto row_of = [&](std::int64_t extra, std::int64_t edge, std::int64_t y, std::int64_t x) {
        return static_cast<std::size_t>((extra + y * edge + x) * channels);
    };
    for (std::int64_t y = 0; y < to.edge; ++y) {
        const Taps rows = taps_for(y, from.edge, to.edge, method);
        for (std::int64_t x = 0; x < to.edge; ++x) {
            const Taps columns = taps_for(x, from.edge, to.edge, method);
            const std::size_t target = row_of(to.extra, to.edge, y, x);
            for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
                double sum = 0;
                for (std::size_t i = 0; i < 4; ++i) {
                    for (std::size_t j = 0; j < 4; ++j) {
                        sum += rows.weight[i] * columns.weight[j] *
                               table[row_of(from.extra, from.edge, rows.index[i], columns.index[j]) + c];
                    }
                }
                result[target + c] = static_cast<float>(sum);
            }
        }
    }
    return result;
}

}  // namespace terrane::weights
