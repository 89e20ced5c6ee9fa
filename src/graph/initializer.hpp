#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "tensor/shape.hpp"

namespace terrane::graph {

/// Every value the same.
struct Constant {
    double value = 0;
};
/// Normal with mean 0.
struct Normal {
    double deviation = 0.01;
};
/// He et al. 2015 for layers before a ReLU: normal with variance 2 / fan. fan_out = K * R * S of a weight [K,
/// R, S, C].
struct KaimingFanOut {};
struct KaimingFanIn {};
/// PyTorch's default for convolutions and linear layers: uniform in +-sqrt(1 / fan_in).
struct UniformFanIn {};
/// Uniform in +-bound, for the bias that goes with UniformFanIn.
struct Uniform {
    double bound = 0;
};

using Initializer = std::variant<Constant, Normal, KaimingFanOut, KaimingFanIn, UniformFanIn, Uniform>;

/// Fills a parameter. The draws depend on seed and name only: not on the order of layers, on ranks or on
/// memory layout.
void initialise(const Initializer& initializer, std::uint64_t seed, std::string_view name, const Shape& shape,
                std::span<float> values);

}  // namespace terrane::graph
