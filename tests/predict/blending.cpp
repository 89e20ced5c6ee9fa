#include "predict/blending.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/philox.hpp"
#include "support/catch.hpp"

using namespace terrane::predict;

namespace {

constexpr std::int64_t classes = 3;

/// What the network would say for a window: a function of the window and the place in it, not smooth at all.
std::vector<float> probabilities_of(std::int64_t window_row, std::int64_t window_column,
                                    std::int64_t window) {
    std::vector<float> values(static_cast<std::size_t>(window * window * classes));
    const auto key = static_cast<std::uint64_t>(window_row * 1000 + window_column);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(terrane::Philox::uniform(terrane::Philox::draw(key, 1, i)[0]));
    }
    return values;
}

bool valid_at(std::int64_t row, std::int64_t column) {
    return (row / 5 + column / 3) % 4 != 0;
}

struct Canvas {
    std::int64_t height, width;
    std::vector<float> probabilities;
    std::vector<std::uint8_t> validity;
    std::vector<int> rows_seen;

    Canvas(std::int64_t h, std::int64_t w)
        : height(h),
          width(w),
          probabilities(static_cast<std::size_t>(h * w * classes)),
          validity(static_cast<std::size_t>(h * w)),
          rows_seen(static_cast<std::size_t>(h * w), 0) {}
};

void blend_block(const WindowGrid& grid, Range rows, Range columns, Canvas& canvas) {
    const std::int64_t window = grid.rows.layout().window;
    BlendAccumulator accumulator(rows, columns, window, classes, [&](const BlendedRow& row) {
        const std::int64_t first = row.row * canvas.width + columns.begin;
        std::ranges::copy(row.probabilities, canvas.probabilities.begin() + first * classes);
        std::ranges::copy(row.validity, canvas.validity.begin() + first);
        for (std::int64_t x = 0; x < columns.size(); ++x)
            ++canvas.rows_seen[static_cast<std::size_t>(first + x)];
    });
    const Range window_rows = grid.rows.windows_of(rows);
    const Range window_columns = grid.columns.windows_of(columns);
    for (std::int64_t i = window_rows.begin; i < window_rows.end; ++i) {
        const std::vector<float> row_shares = grid.rows.shares(i);
        for (std::int64_t j = window_columns.begin; j < window_columns.end; ++j) {
            const std::vector<float> column_shares = grid.columns.shares(j);
            const std::vector<float> probabilities = probabilities_of(i, j, window);
            std::vector<std::uint8_t> validity(static_cast<std::size_t>(window * window), 0);
            for (std::int64_t y = 0; y < window; ++y) {
                for (std::int64_t x = 0; x < window; ++x) {
                    validity[static_cast<std::size_t>(y * window + x)] =
                        valid_at(grid.rows.origin(i) + y, grid.columns.origin(j) + x) ? 1 : 0;
                }
            }
            accumulator.add({grid.rows.origin(i), grid.columns.origin(j), row_shares, column_shares,
                             probabilities, validity});
        }
    }
    accumulator.finish();
}

WindowGrid make_grid(std::int64_t height, std::int64_t width, std::int64_t window, std::int64_t stride) {
    return {WindowAxis({height, window, stride, 1, Blend::hann}),
            WindowAxis({width, window, stride, 1, Blend::hann})};
}

}  // namespace

TEST_CASE("blended values equal the weighted sum over all windows, written directly") {
    const std::int64_t height = 37, width = 29, window = 12;
    const WindowGrid grid = make_grid(height, width, window, 5);
    Canvas canvas(height, width);
    blend_block(grid, {0, height}, {0, width}, canvas);

    std::vector<double> expected(canvas.probabilities.size(), 0.0);
    std::vector<double> weights(static_cast<std::size_t>(height * width), 0.0);
    const auto hann = [&](std::int64_t i) {
        return std::pow(std::sin(M_PI * (static_cast<double>(i) + 0.5) / static_cast<double>(window)), 2);
    };
    for (std::int64_t i = 0; i < grid.rows.count(); ++i) {
        for (std::int64_t j = 0; j < grid.columns.count(); ++j) {
            const std::vector<float> values = probabilities_of(i, j, window);
            for (std::int64_t y = 0; y < window; ++y) {
                for (std::int64_t x = 0; x < window; ++x) {
                    const std::int64_t pixel = (grid.rows.origin(i) + y) * width + grid.columns.origin(j) + x;
                    const double weight = hann(y) * hann(x);
                    weights[static_cast<std::size_t>(pixel)] += weight;
                    for (std::int64_t c = 0; c < classes; ++c) {
                        expected[static_cast<std::size_t>(pixel * classes + c)] +=
                            weight * static_cast<double>(
                                         values[static_cast<std::size_t>((y * window + x) * classes + c)]);
                    }
                }
            }
        }
    }
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        worst = std::max(worst, std::abs(expected[i] / weights[i / classes] -
                                         static_cast<double>(canvas.probabilities[i])));
    }
    CHECK(worst < 1e-6);
    for (std::int64_t y = 0; y < height; ++y) {
        for (std::int64_t x = 0; x < width; ++x) {
            if ((canvas.validity[static_cast<std::size_t>(y * width + x)] != 0) != valid_at(y, x))
                FAIL(y << " " << x);
        }
    }
}

TEST_CASE("every pixel is handed out once, and its bits do not depend on how the scene is cut into blocks") {
    for (const auto& [height, width] : {std::pair{41, 33}, {7, 50}, {12, 12}, {90, 5}}) {
        const WindowGrid grid = make_grid(height, width, 12, 6);
        Canvas whole(height, width);
        blend_block(grid, {0, height}, {0, width}, whole);
        for (const std::int64_t block_height : {1, 7, 12, 30, 100}) {
            for (const std::int64_t block_width : {3, 11, 24, 100}) {
                Canvas pieces(height, width);
                for (std::int64_t y = 0; y < height; y += block_height) {
                    for (std::int64_t x = 0; x < width; x += block_width) {
                        blend_block(grid, {y, std::min<std::int64_t>(y + block_height, height)},
                                    {x, std::min<std::int64_t>(x + block_width, width)}, pieces);
                    }
                }
                CHECK(pieces.rows_seen == std::vector<int>(whole.rows_seen.size(), 1));
                CHECK(pieces.validity == whole.validity);
                CHECK(std::memcmp(pieces.probabilities.data(), whole.probabilities.data(),
                                  whole.probabilities.size() * sizeof(float)) == 0);
            }
        }
    }
}

TEST_CASE("equal window results blend to the same value everywhere") {
    const std::int64_t height = 50, width = 43, window = 16;
    const WindowGrid grid = make_grid(height, width, window, 8);
    std::vector<float> values(static_cast<std::size_t>(window * window * classes));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? 0.7f : i % 3 == 1 ? 0.2f : 0.1f;
    const std::vector<std::uint8_t> validity(static_cast<std::size_t>(window * window), 1);
    double worst = 0;
    BlendAccumulator accumulator({0, height}, {0, width}, window, classes, [&](const BlendedRow& row) {
        for (std::size_t i = 0; i < row.probabilities.size(); ++i) {
            worst = std::max(worst, std::abs(static_cast<double>(row.probabilities[i]) -
                                             static_cast<double>(values[i % 3])));
        }
    });
    for (std::int64_t i = 0; i < grid.rows.count(); ++i) {
        for (std::int64_t j = 0; j < grid.columns.count(); ++j) {
            accumulator.add({grid.rows.origin(i), grid.columns.origin(j), grid.rows.shares(i),
                             grid.columns.shares(j), values, validity});
        }
    }
    accumulator.finish();
    CHECK(worst < 1e-6);
}

TEST_CASE("a block none of whose windows has a valid pixel comes out whole and invalid") {
    std::int64_t rows = 0, valid = 0;
    BlendAccumulator accumulator({3, 20}, {0, 8}, 8, classes, [&](const BlendedRow& row) {
        CHECK(row.row == 3 + rows);
        ++rows;
        valid += std::ranges::count_if(row.validity, [](std::uint8_t v) { return v != 0; });
    });
    accumulator.finish();
    CHECK(rows == 17);
    CHECK(valid == 0);
}
