#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "predict/blending.hpp"
#include "predict/map_products.hpp"
#include "predict/parts_folder.hpp"
#include "predict/window_feeder.hpp"

namespace terrane::predict {

/// Turns the blended rows of one block into its parts of the products.
class BlockWriter {
  public:
    BlockWriter(const MapProducts& products, const raster::Grid& scene, const Block& block, std::size_t index,
                const PartsFolder& folder);

    void add(const BlendedRow& row);
    void finish();

  private:
    /// A product's part and the rows of it that are held back.
    struct Layer {
        Product::Kind kind;
        raster::RasterWriter writer;
        std::vector<std::uint8_t> bytes;  ///< of the map and what is in percent
        std::vector<float> scores;
    };
    void append(Layer& layer, std::span<const float> probabilities, bool valid) const;
    void write_rows();

    std::vector<MapClass> classes_;
    Block block_;
    std::int64_t rows_held_ = 0;
    std::int64_t rows_written_ = 0;
    std::vector<Layer> layers_;
};

}  // namespace terrane::predict
