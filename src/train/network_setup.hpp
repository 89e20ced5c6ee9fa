#pragma once

#include <cstdint>

#include "config/training.hpp"
#include "data/feeder.hpp"
#include "graph/program.hpp"
#include "nets/network.hpp"
#include "recipe/recipe.hpp"
#include "train/model_description.hpp"

namespace terrane::train {

/// What a network must be built for to take tiles of this layout, `edge` reference pixels wide.
nets::NetworkInputs network_inputs(const data::TileLayout& layout, std::int64_t batch, std::int64_t edge);
/// The same for a network that was trained before.
nets::NetworkInputs network_inputs(const ModelDescription& model, std::int64_t batch, std::int64_t edge);

/// The type of activations by train.precision (fp32, tf32, bf16, fp16). Throws Error E0511 (78) for anything
/// else.
DType compute_type(const std::string& precision);
/// Lets the backend make plans for train.precision. Throws Error E0722 (69) if it doesn't compute in that
/// type.
void enter_precision(device::Backend& backend, const std::string& precision);

/// The input slots of what was built for this layout.
data::InputSlots input_slots(const recipe::InputPorts& ports, const data::TileLayout& layout);

}  // namespace terrane::train
