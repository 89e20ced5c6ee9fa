#include "predict/window_grid.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"

namespace terrane::predict {

namespace {

std::int64_t divide_up(std::int64_t value, std::int64_t divisor) {
    return (value + divisor - 1) / divisor;
}

}  // namespace

WindowAxis::WindowAxis(const AxisLayout& layout) : layout_(layout) {
    TERRANE_ASSERT(layout.length > 0 && layout.window > 0 && layout.step > 0, "lengths are positive");
    TERRANE_ASSERT(layout.window % layout.step == 0, "a window of {} is no multiple of {}", layout.window,
                   layout.step);
    TERRANE_ASSERT(layout.stride > 0 && layout.stride <= layout.window && layout.stride % layout.step == 0,
                   "stride {} does not fit window {} and step {}", layout.stride, layout.window, layout.step);
    const std::int64_t beyond_first = std::max<std::int64_t>(layout.length - layout.window, 0);
    last_origin_ = divide_up(beyond_first, layout.step) * layout.step;
    count_ = divide_up(last_origin_, layout.stride) + 1;
}

std::int64_t WindowAxis::origin(std::int64_t index) const {
    TERRANE_ASSERT(index >= 0 && index < count_, "window {} of {}", index, count_);
    return std::min(index * layout_.stride, last_origin_);
}

Range WindowAxis::pixels(std::int64_t index) const {
    const std::int64_t first = origin(index);
    return {first, first + layout_.window};
}

Range WindowAxis::windows_of(Range pixels) const {
    TERRANE_ASSERT(pixels.begin >= 0 && !pixels.empty() && pixels.end <= layout_.length,
                   "pixels {} to {} of a scene of {}", pixels.begin, pixels.end, layout_.length);
    // Regular windows i with i * stride + window > begin and i * stride < end; the last one is not regular.
    std::int64_t first =
        std::max<std::int64_t>(0, divide_up(pixels.begin - layout_.window + 1, layout_.stride));
    std::int64_t end = divide_up(pixels.end, layout_.stride);
    first = std::min(first, count_ - 1);
    end = std::min(end, count_ - 1);
    if (last_origin_ < pixels.end) end = count_;
    return {first, end};
}

double WindowAxis::weight(std::int64_t position) const {
    switch (layout_.blend) {
        case Blend::hann: {
            const double sine = std::sin(std::numbers::pi * (static_cast<double>(position) + 0.5) /
                                         static_cast<double>(layout_.window));
            return sine * sine;
        }
        case Blend::mean:
            return 1;
    }
    TERRANE_ASSERT(false, "no such blend");
}

std::vector<float> WindowAxis::shares(std::int64_t index) const {
    const Range own = pixels(index);
    const Range scene{own.begin, std::min(own.end, layout_.length)};
    std::vector<float> result(static_cast<std::size_t>(layout_.window), 0.0f);
    const Range neighbours = windows_of(scene);
    for (std::int64_t pixel = scene.begin; pixel < scene.end; ++pixel) {
        double sum = 0;
        for (std::int64_t other = neighbours.begin; other < neighbours.end; ++other) {
            const Range range = pixels(other);
            if (pixel >= range.begin && pixel < range.end) sum += weight(pixel - range.begin);
        }
        result[static_cast<std::size_t>(pixel - own.begin)] =
            static_cast<float>(weight(pixel - own.begin) / sum);
    }
    return result;
}

std::int64_t stride_for_overlap(std::int64_t window, double overlap, std::int64_t step) {
    const double wanted = static_cast<double>(window) * (1 - overlap) / static_cast<double>(step);
    const auto steps = static_cast<std::int64_t>(std::floor(wanted + 1e-9));
    return std::clamp(steps, std::int64_t{1}, window / step) * step;
}

}  // namespace terrane::predict
