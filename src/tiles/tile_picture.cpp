#include "tiles/tile_picture.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "tensor/visit_dtype.hpp"

namespace terrane::tiles {

namespace {

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

void Picture::put(std::int64_t x, std::int64_t y, std::array<std::uint8_t, 3> color) {
    std::copy(color.begin(), color.end(), pixels.begin() + (y * width + x) * 3);
}

void draw_modality(const Manifest& manifest, const TileMemory& memory, std::size_t m, Picture& picture,
                   PicturePlace place) {
    const StoredModality& modality = manifest.modalities[m];
    const auto bands = static_cast<std::size_t>(modality.bands);
    std::array<std::size_t, 3> shown_bands{0, 0, 0};
    if (bands >= 3) shown_bands = {0, 1, 2};
    std::array<std::pair<double, double>, 3> range;
    for (std::size_t c = 0; c < 3; ++c) range[c] = contrast(modality, memory, m, shown_bands[c]);
    const std::int64_t small = manifest.tile / modality.scale;
    for (std::int64_t y = 0; y < manifest.tile; y += place.stride) {
        for (std::int64_t x = 0; x < manifest.tile; x += place.stride) {
            const auto pixel = static_cast<std::size_t>(y / modality.scale * small + x / modality.scale);
            std::array<std::uint8_t, 3> color{};
            if (memory.masks[m][pixel] == 0) {
                const bool dark = ((x / place.stride / 8 + y / place.stride / 8) & 1) != 0;
                color = dark ? std::array<std::uint8_t, 3>{120, 0, 120}
                             : std::array<std::uint8_t, 3>{230, 0, 230};
            } else {
                for (std::size_t c = 0; c < 3; ++c) {
                    const double value =
                        element(modality.dtype, memory.values[m].data(), pixel * bands + shown_bands[c]);
                    const double level = 127.5 + 127.5 * (value - range[c].first) / (2 * range[c].second);
                    color[c] = static_cast<std::uint8_t>(std::clamp(level, 0.0, 255.0));
                }
            }
            picture.put(place.left + x / place.stride, place.top + y / place.stride, color);
        }
    }
}

void draw_classes(const Manifest& manifest, std::span<const std::uint8_t> classes, Picture& picture,
                  PicturePlace place) {
    TERRANE_ASSERT(static_cast<std::int64_t>(classes.size()) == manifest.tile * manifest.tile,
                   "{} classes for a tile of {}", classes.size(), manifest.tile);
    for (std::int64_t y = 0; y < manifest.tile; y += place.stride) {
        for (std::int64_t x = 0; x < manifest.tile; x += place.stride) {
            const std::uint8_t value = classes[static_cast<std::size_t>(y * manifest.tile + x)];
            std::array<std::uint8_t, 3> color{0, 0, 0};
            if (value < manifest.classes.size()) {
                for (std::size_t c = 0; c < 3; ++c)
                    color[c] = static_cast<std::uint8_t>(manifest.classes[value].color[c]);
            }
            picture.put(place.left + x / place.stride, place.top + y / place.stride, color);
        }
    }
}

void draw_distances(const Manifest& manifest, std::span<const std::uint8_t> distances, Picture& picture,
                    PicturePlace place) {
    TERRANE_ASSERT(static_cast<std::int64_t>(distances.size()) == manifest.tile * manifest.tile,
                   "{} distances for a tile of {}", distances.size(), manifest.tile);
    for (std::int64_t y = 0; y < manifest.tile; y += place.stride) {
        for (std::int64_t x = 0; x < manifest.tile; x += place.stride) {
            const std::uint8_t value = distances[static_cast<std::size_t>(y * manifest.tile + x)];
            picture.put(place.left + x / place.stride, place.top + y / place.stride, {value, value, value});
        }
    }
}

}  // namespace terrane::tiles
