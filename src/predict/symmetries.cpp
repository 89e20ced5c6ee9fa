#include "predict/symmetries.hpp"

#include <cmath>

#include "base/error.hpp"
#include "data/augmentation.hpp"

namespace terrane::predict {

namespace {

/// By the numbers of data::whole_tile: four quarter turns, then the same after mirroring.
std::vector<std::int64_t> numbers_of(const std::string& name) {
    if (name == "none") return {0};
    if (name == "mirror") return {0, 4};
    if (name == "flips") return {0, 4, 6, 2};
    TERRANE_ASSERT(name == "all", "symmetries '{}'", name);
    return {0, 1, 2, 3, 4, 5, 6, 7};
}

}  // namespace

std::vector<WindowSymmetry> window_symmetries(const std::string& name, std::int64_t window) {
    std::vector<WindowSymmetry> symmetries;
    for (const std::int64_t number : numbers_of(name)) {
        WindowSymmetry symmetry{data::whole_tile(number, window), {}};
        const device::SampleTransform& to = symmetry.transform;
        symmetry.pixels.reserve(static_cast<std::size_t>(window * window));
        for (std::int64_t row = 0; row < window; ++row) {
            for (std::int64_t column = 0; column < window; ++column) {
                const double x = static_cast<double>(column) + 0.5, y = static_cast<double>(row) + 0.5;
                const auto there_x = static_cast<std::int64_t>(std::floor(to.xx * x + to.xy * y + to.x0));
                const auto there_y = static_cast<std::int64_t>(std::floor(to.yx * x + to.yy * y + to.y0));
                symmetry.pixels.push_back(static_cast<std::int32_t>(there_y * window + there_x));
            }
        }
        symmetries.push_back(std::move(symmetry));
    }
    return symmetries;
}

}  // namespace terrane::predict
