#pragma once

#include <cstddef>

#include "recipe/recipe.hpp"

namespace terrane::recipe {

/// What training by this design would keep in the memory of one rank; nothing is allocated.
struct PlannedMemory {
    std::size_t parameters = 0;
    std::size_t gradients = 0;
    std::size_t moments = 0;  ///< the optimizer's buffers, each as large as the gradients
    std::size_t states = 0;
    std::size_t programs = 0;  ///< activations, workspace, packed weights, input slots

    std::size_t total() const { return parameters + gradients + moments + states + programs; }
};

/// `moment_buffers`: 1 for SGD with momentum, 2 for Adam and AdamW, 1 more for a moving average of the
/// weights.
PlannedMemory planned_memory(const Design& design, device::Backend& backend, int moment_buffers);

/// The largest batch, up to `most`, whose plan keeps to `budget` bytes; 0 if none does.
std::int64_t largest_batch(const Design& design, device::Backend& backend, int moment_buffers,
                           std::size_t budget, std::int64_t most);

}  // namespace terrane::recipe
