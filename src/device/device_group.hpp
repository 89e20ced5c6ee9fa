#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "device/collectives.hpp"

namespace terrane::device {

/// In which type ranks sum their gradients. bf16 halves what travels, and rounds every partial sum to 8 bits.
enum class GradientSums { f32, bf16 };

/// Ranks with a device each, about to be connected for queued sums.
struct DeviceGroup {
    int rank = 0;
    int size = 1;
    /// The first rank's text on every rank. Collective.
    std::function<void(std::string& text)> broadcast;
    std::chrono::duration<double> timeout{1800};  ///< for connecting, and for every sum
    GradientSums gradients = GradientSums::f32;
    SumListener* listener = nullptr;  ///< outlives the connection
};

}  // namespace terrane::device
