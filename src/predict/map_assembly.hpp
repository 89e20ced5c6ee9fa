#pragma once

#include <functional>
#include <vector>

#include "predict/map_products.hpp"
#include "predict/parts_folder.hpp"
#include "predict/window_feeder.hpp"

namespace terrane::predict {

/// GDAL's block cache while a map is put together: every block is read and written once, a larger one gains
/// nothing.
inline constexpr std::size_t assembly_cache = std::size_t{64} << 20;
/// What that takes beside the cache, whatever the map's size: GDAL's overviews are made in pieces of 10 MB.
inline constexpr std::size_t assembly_bytes = std::size_t{40} << 20;

/// Puts the parts of all blocks together and publishes the products, the map last. For one rank; `working` is
/// called many times meanwhile and must not throw.
void assemble_products(const MapProducts& products, const raster::Grid& scene,
                       const std::vector<Block>& blocks, const PartsFolder& folder,
                       const std::function<void()>& working = {});

}  // namespace terrane::predict
