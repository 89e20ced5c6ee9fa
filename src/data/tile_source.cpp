#include "data/tile_source.hpp"

#include <numeric>

namespace terrane::data {

std::int64_t TileLayout::alignment() const {
    std::int64_t result = 1;
    for (const ModalityLayout& modality : modalities) result = std::lcm(result, modality.scale);
    return result;
}

TileMemory::TileMemory(const TileLayout& layout) {
    std::vector<TensorSpec> specs;
    for (const ModalityLayout& modality : layout.modalities) {
        const std::int64_t edge = layout.edge / modality.scale;
        specs.push_back({modality.dtype, {edge, edge, modality.bands}});
        specs.push_back({DType::u8, {edge, edge}});
    }
    for (std::size_t map = 0; map < 1 + layout.maps.size(); ++map)
        specs.push_back({DType::u8, {layout.edge, layout.edge}});

    std::size_t bytes = 0;
    for (const TensorSpec& spec : specs) bytes += device::aligned(spec.bytes());
    memory_ = device::allocate_host(bytes);

    std::size_t offset = 0;
    std::vector<TensorView> views;
    for (const TensorSpec& spec : specs) {
        views.push_back({memory_.data() + offset, spec});
        offset += device::aligned(spec.bytes());
    }
    for (std::size_t m = 0; m < layout.modalities.size(); ++m) {
        modalities.push_back({views[2 * m], views[2 * m + 1], 0, true});
    }
    const auto first = views.begin() + 2 * static_cast<std::ptrdiff_t>(layout.modalities.size());
    labels = *first;
    maps.assign(first + 1, views.end());
}

std::vector<std::int64_t> total_class_pixels(const TileSource& source) {
    std::vector<std::int64_t> totals(static_cast<std::size_t>(source.layout().classes), 0);
    for (std::int64_t tile = 0; tile < source.size(); ++tile) {
        const std::span<const std::int64_t> pixels = source.class_pixels(tile);
        TERRANE_ASSERT(pixels.size() == totals.size(), "tile {} counts {} classes", tile, pixels.size());
        for (std::size_t c = 0; c < totals.size(); ++c) totals[c] += pixels[c];
    }
    return totals;
}

}  // namespace terrane::data
