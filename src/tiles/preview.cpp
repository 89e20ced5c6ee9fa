#include "tiles/preview.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "raster/writer.hpp"
#include "tensor/visit_dtype.hpp"
#include "tiles/tile_memory.hpp"

namespace terrane::tiles {

namespace {

constexpr std::int64_t gap = 4;

double element(DType dtype, const std::byte* values, std::size_t at) {
    return visit_dtype(dtype, [&]<typename T>(std::type_identity<T>) {
        T value;
        std::memcpy(&value, values + at * sizeof(T), sizeof(T));
        return static_cast<double>(value);
    });
}

/// Mean and deviation of the stored values of one band of one tile: what a viewer sees well.
std::pair<double, double> contrast(const StoredModality& modality, const TileMemory& memory, std::size_t m,
                                   std::size_t band) {
    Moments moments;
    const auto bands = static_cast<std::size_t>(modality.bands);
    for (std::size_t pixel = 0; pixel < memory.masks[m].size(); ++pixel) {
        if (memory.masks[m][pixel] != 0)
            moments.add(element(modality.dtype, memory.values[m].data(), pixel * bands + band));
    }
    return {moments.mean, std::max(moments.standard_deviation(), 1e-9)};
}

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
    const auto columns = static_cast<std::int64_t>(manifest.modalities.size()) + 1;
    const std::int64_t width = columns * (edge + gap) + gap;
    const std::int64_t height = static_cast<std::int64_t>(shown) * (edge + gap) + gap;
    std::vector<std::uint8_t> picture(static_cast<std::size_t>(width * height * 3), 255);
    const auto put = [&](std::int64_t x, std::int64_t y, std::array<std::uint8_t, 3> color) {
        std::copy(color.begin(), color.end(), picture.begin() + (y * width + x) * 3);
    };
    TileMemory memory(manifest);
    TileReader reader(store);
    for (std::size_t row = 0; row < shown; ++row) {
        const std::int64_t tile = tiles[row * tiles.size() / shown];
        reader.read(tile, memory.buffers());
        const std::int64_t top = gap + static_cast<std::int64_t>(row) * (edge + gap);
        for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
            const StoredModality& modality = manifest.modalities[m];
            const std::int64_t left = gap + static_cast<std::int64_t>(m) * (edge + gap);
            const auto bands = static_cast<std::size_t>(modality.bands);
            std::array<std::size_t, 3> shown_bands{0, 0, 0};
            if (bands >= 3) shown_bands = {0, 1, 2};
            std::array<std::pair<double, double>, 3> range;
            for (std::size_t c = 0; c < 3; ++c) range[c] = contrast(modality, memory, m, shown_bands[c]);
            const std::int64_t small = edge / modality.scale;
            for (std::int64_t y = 0; y < edge; ++y) {
                for (std::int64_t x = 0; x < edge; ++x) {
                    const auto pixel =
                        static_cast<std::size_t>(y / modality.scale * small + x / modality.scale);
                    if (memory.masks[m][pixel] == 0) {
                        const bool dark = ((x / 8 + y / 8) & 1) != 0;
                        put(left + x, top + y,
                            dark ? std::array<std::uint8_t, 3>{120, 0, 120}
                                 : std::array<std::uint8_t, 3>{230, 0, 230});
                        continue;
                    }
                    std::array<std::uint8_t, 3> color{};
                    for (std::size_t c = 0; c < 3; ++c) {
                        const double value =
                            element(modality.dtype, memory.values[m].data(), pixel * bands + shown_bands[c]);
                        const double level = 127.5 + 127.5 * (value - range[c].first) / (2 * range[c].second);
                        color[c] = static_cast<std::uint8_t>(std::clamp(level, 0.0, 255.0));
                    }
                    put(left + x, top + y, color);
                }
            }
        }
        const std::int64_t left = gap + (columns - 1) * (edge + gap);
        for (std::int64_t y = 0; y < edge; ++y) {
            for (std::int64_t x = 0; x < edge; ++x) {
                const std::uint8_t label = memory.label[static_cast<std::size_t>(y * edge + x)];
                std::array<std::uint8_t, 3> color{0, 0, 0};
                if (label < manifest.classes.size()) {
                    for (std::size_t c = 0; c < 3; ++c)
                        color[c] = static_cast<std::uint8_t>(manifest.classes[label].color[c]);
                }
                put(left + x, top + y, color);
            }
        }
    }
    raster::write_png(path, width, height, 3, picture);
}

}  // namespace terrane::tiles
