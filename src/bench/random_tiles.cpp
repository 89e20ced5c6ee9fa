#include "bench/random_tiles.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/philox.hpp"

namespace terrane::bench {

RandomTiles::RandomTiles(const data::TileLayout& like, std::int64_t tiles) : layout_(like), tiles_(tiles) {
    for (data::ModalityLayout& modality : layout_.modalities) {
        modality.dtype = DType::f32;
        modality.normalisation.assign(static_cast<std::size_t>(modality.bands), {});
        PhiloxStream random(1, stream_of(modality.name));
        const std::int64_t edge = layout_.edge / modality.scale;
        std::vector<float>& values =
            values_.emplace_back(static_cast<std::size_t>(edge * edge * modality.bands));
        for (float& value : values) value = static_cast<float>(random.normal());
    }
    PhiloxStream random(1, stream_of("labels"));
    labels_.resize(static_cast<std::size_t>(layout_.edge * layout_.edge));
    class_pixels_.resize(static_cast<std::size_t>(layout_.classes));
    for (std::uint8_t& label : labels_) {
        label = static_cast<std::uint8_t>(random.below(static_cast<std::uint32_t>(layout_.classes)));
        ++class_pixels_[label];
    }
}

std::string RandomTiles::describe(std::int64_t tile) const {
    return fmt::format("random tile {}", tile);
}

void RandomTiles::read(std::int64_t, data::TileMemory& destination) {
    for (std::size_t m = 0; m < values_.size(); ++m) {
        data::TileMemory::Modality& modality = destination.modalities[m];
        std::memcpy(modality.values.data, values_[m].data(), modality.values.bytes());
        std::ranges::fill(modality.validity.span<std::uint8_t>(), std::uint8_t{1});
        modality.base = 0;
        modality.present = true;
    }
    std::memcpy(destination.labels.data, labels_.data(), labels_.size());
}

}  // namespace terrane::bench
