#include "predict/map_assembly.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "raster/mosaic.hpp"

namespace terrane::predict {

namespace {

raster::Window window_of(const Block& block) {
    return {block.columns.begin, block.rows.begin, block.columns.size(), block.rows.size()};
}

void write_quicklook(const MapProducts& products, const raster::Grid& scene,
                     const raster::RasterMosaic& map) {
    const double factor = std::min(1.0, static_cast<double>(products.quicklook_edge) /
                                            static_cast<double>(std::max(scene.width, scene.height)));
    const auto scaled = [&](std::int64_t length) {
        return std::max<std::int64_t>(1, std::llround(static_cast<double>(length) * factor));
    };
    const std::int64_t width = scaled(scene.width), height = scaled(scene.height);
    const std::vector<std::uint8_t> classes = map.reduced(width, height);
    std::array<std::array<std::uint8_t, 3>, 256> colors{};
    for (const MapClass& entry : products.classes) {
        for (std::size_t i = 0; i < 3; ++i) {
            colors[static_cast<std::size_t>(entry.id)][i] = static_cast<std::uint8_t>(entry.color[i]);
        }
    }
    // Where nothing is known the picture is transparent: black may be a class.
    std::vector<std::uint8_t> pixels;
    pixels.reserve(classes.size() * 4);
    for (const std::uint8_t id : classes) {
        pixels.insert(pixels.end(), colors[id].begin(), colors[id].end());
        pixels.push_back(id == map_nodata ? 0 : 255);
    }
    raster::write_png(products.quicklook_path(), width, height, 4, pixels);
}

}  // namespace

void assemble_products(const MapProducts& products, const raster::Grid& scene,
                       const std::vector<Block>& blocks, const PartsFolder& folder,
                       const std::function<void()>& working) {
    // Everything is built before anything gets its name; the map gets it last.
    std::vector<Product> rasters = products.rasters();
    std::vector<std::unique_ptr<raster::RasterMosaic>> mosaics;
    for (auto product = rasters.rbegin(); product != rasters.rend(); ++product) {
        std::vector<raster::MosaicPart> parts;
        for (std::size_t b = 0; b < blocks.size(); ++b)
            parts.push_back({folder.part(product->name, b), window_of(blocks[b])});
        raster::MosaicOptions options;
        if (product->kind == Product::Kind::map) options.smallest_region = products.smallest_region;
        options.working = working;
        mosaics.push_back(std::make_unique<raster::RasterMosaic>(product->path, scene, product->format, parts,
                                                                 folder.whole(product->name), options));
    }
    if (products.quicklook_edge > 0) write_quicklook(products, scene, *mosaics.back());
    for (const auto& built : mosaics) built->publish();
}

}  // namespace terrane::predict
