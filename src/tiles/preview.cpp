#include "tiles/preview.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "config/weak_maps.hpp"
#include "raster/writer.hpp"
#include "tiles/tile_picture.hpp"

namespace terrane::tiles {

namespace {

constexpr std::int64_t gap = 4;

}  // namespace

void write_preview(const TileStore& store, std::optional<Split> split, std::int64_t count,
                   const std::filesystem::path& path) {
    const Manifest& manifest = store.manifest();
    std::vector<std::int64_t> tiles;
    for (std::int64_t i = 0; i < store.size(); ++i) {
        if (!split || store.tile(i).split == *split) tiles.push_back(i);
    }
    if (tiles.empty()) {
        throw Error(ExitCode::data_invalid, 314,
                    fmt::format("the store {} has no such tiles.", store.folder().string()));
    }
    const auto shown = static_cast<std::size_t>(
        std::min<std::int64_t>(std::max<std::int64_t>(count, 1), static_cast<std::int64_t>(tiles.size())));
    const std::int64_t edge = manifest.tile;
    const auto columns = static_cast<std::int64_t>(manifest.modalities.size() + 1 + manifest.maps.size());
    const std::int64_t width = columns * (edge + gap) + gap;
    const std::int64_t height = static_cast<std::int64_t>(shown) * (edge + gap) + gap;
    Picture picture(width, height);
    TileMemory memory(manifest);
    TileReader reader(store);
    for (std::size_t row = 0; row < shown; ++row) {
        const std::int64_t tile = tiles[row * tiles.size() / shown];
        reader.read(tile, memory.buffers());
        PicturePlace place{gap, gap + static_cast<std::int64_t>(row) * (edge + gap)};
        for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
            draw_modality(manifest, memory, m, picture, place);
            place.left += edge + gap;
        }
        draw_classes(manifest, memory.label, picture, place);
        for (std::size_t m = 0; m < manifest.maps.size(); ++m) {
            place.left += edge + gap;
            if (config::holds_classes(manifest.maps[m])) {
                draw_classes(manifest, memory.maps[m], picture, place);
            } else {
                draw_distances(manifest, memory.maps[m], picture, place);
            }
        }
    }
    raster::write_png(path, picture.width, picture.height, 3, picture.pixels);
}

}  // namespace terrane::tiles
