#include "data/store_source.hpp"

#include <algorithm>

#include "config/weak_maps.hpp"

namespace terrane::data {

namespace {

const config::Modality& configured(const config::Config& config, const std::string& name) {
    const auto found = std::find_if(config.modalities.begin(), config.modalities.end(),
                                    [&](const config::Modality& modality) { return modality.name == name; });
    TERRANE_ASSERT(found != config.modalities.end(), "modality {} is not configured", name);
    return *found;
}

device::BandNormalisation normalisation_of(const config::Modality& modality,
                                           const tiles::BandStatistics& band) {
    device::BandNormalisation result;
    result.multiply = static_cast<float>(modality.multiply);
    result.add = static_cast<float>(modality.add);
    if (modality.clip_low) result.clip_low = static_cast<float>(*modality.clip_low);
    if (modality.clip_high) result.clip_high = static_cast<float>(*modality.clip_high);
    double origin = 0;
    double unit = 1;
    if (modality.norm == "standard") {
        origin = band.mean;
        unit = band.standard_deviation;
    } else if (modality.norm == "minmax") {
        origin = band.minimum;
        unit = band.maximum - band.minimum;
    }
    result.mean = static_cast<float>(origin);
    result.inverse_deviation = unit > 0 ? static_cast<float>(1 / unit) : 1;
    if (modality.fill) {
        result.invalid = (static_cast<float>(*modality.fill) - result.mean) * result.inverse_deviation;
    }
    return result;
}

}  // namespace

StoreSource::StoreSource(const tiles::TileStore& store, tiles::Split split, const config::Config& config,
                         Maps maps)
    : store_(store), tiles_(store.tiles_of(split)), reader_(store) {
    const tiles::Manifest& manifest = store.manifest();
    layout_.edge = manifest.tile;
    layout_.scored_by_window = manifest.scored_by_window;
    layout_.classes = static_cast<std::int64_t>(manifest.classes.size());
    for (const tiles::StoredModality& stored : manifest.modalities) {
        ModalityLayout modality{stored.name, stored.dtype, stored.bands, stored.scale, {}};
        for (const tiles::BandStatistics& band : stored.statistics) {
            modality.normalisation.push_back(normalisation_of(configured(config, stored.name), band));
        }
        layout_.modalities.push_back(std::move(modality));
    }
    buffers_.values.resize(layout_.modalities.size());
    buffers_.masks.resize(layout_.modalities.size());
    if (maps == Maps::labels) return;
    layout_.maps = config::weak_maps_of(config.loss);
    if (layout_.maps.empty()) return;
    buffers_.maps.resize(manifest.maps.size());
    for (const std::string& map : layout_.maps) {
        const auto found = std::find(manifest.maps.begin(), manifest.maps.end(), map);
        if (found == manifest.maps.end()) {
            const char* table = map.starts_with(config::scribble_map) ? "scribble" : "pseudo";
            throw Error(
                ExitCode::data_invalid, 405,
                fmt::format("[[loss.terms]] looks at the map {}, which the tile store {} does not hold.", map,
                            store.folder().string()),
                fmt::format("Set files in [{}] and run 'terrane data build', or drop the term.", table));
        }
        maps_.push_back(static_cast<std::size_t>(found - manifest.maps.begin()));
        if (map == config::counted_map(config.loss)) counted_ = maps_.back();
    }
}

void StoreSource::normalise_as(std::span<const ModalityLayout> modalities) {
    const auto list = [](std::span<const ModalityLayout> entries) {
        std::string text;
        for (const ModalityLayout& entry : entries) {
            text += fmt::format("{}{}[{}] at scale {}", text.empty() ? "" : ", ", entry.name, entry.bands,
                                entry.scale);
        }
        return text;
    };
    const auto same = [](const ModalityLayout& a, const ModalityLayout& b) {
        return a.name == b.name && a.bands == b.bands && a.scale == b.scale;
    };
    if (!std::equal(modalities.begin(), modalities.end(), layout_.modalities.begin(),
                    layout_.modalities.end(), same)) {
        throw Error(ExitCode::config_invalid, 606,
                    fmt::format("the weights were trained on {}, the tile store {} holds {}.",
                                list(modalities), store_.folder().string(), list(layout_.modalities)),
                    "Build tiles with the modalities of the weights.");
    }
    for (std::size_t m = 0; m < modalities.size(); ++m) {
        layout_.modalities[m].normalisation = modalities[m].normalisation;
    }
}

std::span<const std::int64_t> StoreSource::class_pixels(std::int64_t tile) const {
    const tiles::TileRecord& record = store_.tile(tiles_[static_cast<std::size_t>(tile)]);
    return counted_ ? record.maps[*counted_].class_pixels : record.class_pixels;
}

std::string StoreSource::describe(std::int64_t tile) const {
    return store_.describe(tiles_[static_cast<std::size_t>(tile)]);
}

void StoreSource::read(std::int64_t tile, TileMemory& destination) {
    const std::int64_t stored = tiles_[static_cast<std::size_t>(tile)];
    const tiles::TileRecord& record = store_.tile(stored);
    for (std::size_t m = 0; m < layout_.modalities.size(); ++m) {
        TileMemory::Modality& modality = destination.modalities[m];
        buffers_.values[m] = {modality.values.data, modality.values.bytes()};
        buffers_.masks[m] = modality.validity.span<std::uint8_t>();
        modality.base = static_cast<float>(record.modalities[m].base);
        modality.present = record.modalities[m].valid > 0;
    }
    buffers_.label = destination.labels.span<std::uint8_t>();
    for (std::size_t m = 0; m < maps_.size(); ++m)
        buffers_.maps[maps_[m]] = destination.maps[m].span<std::uint8_t>();
    reader_.read(stored, buffers_);
}

}  // namespace terrane::data
