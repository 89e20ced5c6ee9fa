#pragma once

#include <functional>
#include <vector>

#include "predict/map_products.hpp"
#include "predict/parts_folder.hpp"
#include "predict/window_feeder.hpp"

namespace terrane::predict {

/// Puts the parts of all blocks together and publishes the products, the map last. For one rank; `working` is
/// called many times meanwhile and must not throw.
void assemble_products(const MapProducts& products, const raster::Grid& scene,
                       const std::vector<Block>& blocks, const PartsFolder& folder,
                       const std::function<void()>& working = {});

}  // namespace terrane::predict
