#pragma once

#include <span>

#include "optim/optimizer.hpp"

namespace terrane::test {

/// One whole update of one rank, on a backend that shares the host's memory.
inline device::UpdateRecord update(optim::Optimizer& optimizer, std::span<float> parameters,
                                   std::span<const float> gradients, double normaliser, double rate) {
    double totals[2] = {0, normaliser};
    optimizer.order({.rate = rate});
    optimizer.gather(gradients, {totals, 1}, {});
    optimizer.make(parameters, gradients);
    return *optimizer.record();
}

}  // namespace terrane::test
