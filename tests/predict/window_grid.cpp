#include "predict/window_grid.hpp"

#include <cmath>

#include "base/error.hpp"
#include "support/catch.hpp"

using terrane::predict::AxisLayout;
using terrane::predict::Blend;
using terrane::predict::Range;
using terrane::predict::stride_for_overlap;
using terrane::predict::WindowAxis;

namespace {

/// Every layout with small sizes: odd scenes, scenes shorter than a window, no overlap to nine tenths,
/// scales.
template <typename Check>
void for_all_layouts(Check check) {
    for (const std::int64_t step : {1, 2, 3, 4}) {
        for (std::int64_t window = step; window <= 6 * step; window += step) {
            for (std::int64_t stride = step; stride <= window; stride += step) {
                for (std::int64_t length = 1; length <= 3 * window + 5; ++length) {
                    for (const Blend blend : {Blend::hann, Blend::mean}) {
                        check(WindowAxis({length, window, stride, step, blend}));
                    }
                }
            }
        }
    }
}

}  // namespace

TEST_CASE("windows start in the scene on multiples of the step, in order, at most a stride apart") {
    for_all_layouts([](const WindowAxis& axis) {
        const AxisLayout& layout = axis.layout();
        bool good = axis.origin(0) == 0;
        for (std::int64_t i = 0; i < axis.count(); ++i) {
            const std::int64_t origin = axis.origin(i);
            good = good && origin >= 0 && origin < layout.length && origin % layout.step == 0;
            if (i > 0) {
                const std::int64_t distance = origin - axis.origin(i - 1);
                good = good && distance > 0 && distance <= layout.stride;
            }
        }
        const std::int64_t end = axis.pixels(axis.count() - 1).end;
        good = good && end >= layout.length;
        if (layout.length >= layout.window) good = good && end < layout.length + layout.step;
        if (!good) {
            FAIL("length " << layout.length << " window " << layout.window << " stride " << layout.stride
                           << " step " << layout.step);
        }
    });
}

TEST_CASE(
    "the shares of all windows in a pixel are positive and sum to one; beyond the scene they are zero") {
    for_all_layouts([](const WindowAxis& axis) {
        const AxisLayout& layout = axis.layout();
        std::vector<double> sums(static_cast<std::size_t>(layout.length), 0.0);
        bool good = true;
        for (std::int64_t i = 0; i < axis.count(); ++i) {
            const std::vector<float> shares = axis.shares(i);
            for (std::int64_t x = 0; x < layout.window; ++x) {
                const float share = shares[static_cast<std::size_t>(x)];
                const std::int64_t pixel = axis.origin(i) + x;
                if (pixel < layout.length) {
                    good = good && share > 0;
                    sums[static_cast<std::size_t>(pixel)] += static_cast<double>(share);
                } else {
                    good = good && share == 0;
                }
            }
        }
        for (const double sum : sums) good = good && std::abs(sum - 1) < 1e-6;
        if (!good) {
            FAIL("length " << layout.length << " window " << layout.window << " stride " << layout.stride
                           << " step " << layout.step);
        }
    });
}

TEST_CASE("windows_of names exactly the windows that touch a range") {
    for_all_layouts([](const WindowAxis& axis) {
        const std::int64_t length = axis.layout().length;
        const std::int64_t hop = std::max<std::int64_t>(1, length / 7);
        for (std::int64_t begin = 0; begin < length; begin += hop) {
            for (std::int64_t end = begin + 1; end <= length; end += hop) {
                const Range found = axis.windows_of({begin, end});
                for (std::int64_t i = 0; i < axis.count(); ++i) {
                    const Range pixels = axis.pixels(i);
                    const bool touches = pixels.begin < end && pixels.end > begin;
                    if (touches != (i >= found.begin && i < found.end)) {
                        FAIL("window " << i << " and pixels " << begin << ".." << end << " of " << length);
                    }
                }
            }
        }
    });
}

TEST_CASE("the stride follows the overlap and stays between a step and the window") {
    CHECK(stride_for_overlap(256, 0.5, 1) == 128);
    CHECK(stride_for_overlap(256, 0.5, 4) == 128);
    CHECK(stride_for_overlap(256, 0.25, 1) == 192);
    CHECK(stride_for_overlap(100, 0.3, 4) == 68);
    CHECK(stride_for_overlap(10, 0.9, 1) == 1);
    CHECK(stride_for_overlap(256, 0, 2) == 256);
    CHECK(stride_for_overlap(16, 0.99, 8) == 8);
}

TEST_CASE("a layout with origins off the coarse grid is refused") {
    CHECK_THROWS_AS(WindowAxis({100, 30, 15, 4, Blend::mean}), terrane::InternalError);
    CHECK_THROWS_AS(WindowAxis({100, 32, 40, 4, Blend::mean}), terrane::InternalError);
    CHECK_THROWS_AS(WindowAxis({0, 32, 16, 4, Blend::mean}), terrane::InternalError);
}
