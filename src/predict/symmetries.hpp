#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/sample_kernels.hpp"

namespace terrane::predict {

/// One of the symmetries of the square in which a window is shown to the network.
struct WindowSymmetry {
    device::SampleTransform transform;  ///< from the pixels the network sees to those of the window
    std::vector<std::int32_t> pixels;   ///< [window * window], the same for every pixel, row by row
};

/// The symmetries that predict.symmetries ("none", "mirror", "flips", "all") names, the window as it lies
/// first.
std::vector<WindowSymmetry> window_symmetries(const std::string& name, std::int64_t window);

}  // namespace terrane::predict
