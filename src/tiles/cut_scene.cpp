#include "tiles/cut_scene.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "config/weak_maps.hpp"
#include "tiles/count_once.hpp"
#include "tiles/distance_map.hpp"
#include "tiles/shard.hpp"

namespace terrane::tiles {

namespace {

/// Reads encoded classes of windows from one of a scene's class maps; its buffers grow once.
class ClassWindow {
  public:
    ClassWindow(raster::AlignedScene& scene, const LabelCoding& coding, raster::ClassMap map)
        : scene_(scene), coding_(coding), map_(map) {}

    /// 255 everywhere if the scene has no such map.
    std::span<const std::uint8_t> read(const raster::Window& window) {
        const auto pixels = static_cast<std::size_t>(window.pixels());
        classes_.resize(pixels);
        if (!scene_.has(map_)) {
            std::fill(classes_.begin(), classes_.end(), ignored_label);
            return classes_;
        }
        raster::AlignedReader& reader = scene_.class_map(map_);
        values_.resize(pixels * static_cast<std::size_t>(reader.bands()) * size_of(reader.dtype()));
        mask_.resize(pixels);
        reader.read(window, values_, mask_);
        coding_.encode(reader, values_, mask_, classes_);
        return classes_;
    }

  private:
    raster::AlignedScene& scene_;
    const LabelCoding& coding_;
    raster::ClassMap map_;
    std::vector<std::byte> values_;
    std::vector<std::uint8_t> mask_, classes_;
};

/// The maps of weak supervision of a scene, window by window.
class WeakMaps {
  public:
    WeakMaps(const config::Config& config, const Manifest& layout, raster::AlignedScene& scene,
             const LabelCoding& coding)
        : layout_(layout),
          scribble_(scene, coding, raster::ClassMap::scribble),
          pseudo_(scene, coding, raster::ClassMap::pseudo),
          from_scribble_(DistanceMap::From::scribble, config.scribble.lambda,
                         config::background_index(config.classes), scene.grid().width, scene.grid().height),
          from_pseudo_(DistanceMap::From::contour, config.pseudo.lambda,
                       config::background_index(config.classes), scene.grid().width, scene.grid().height) {}

    std::span<const std::uint8_t> read(std::size_t map, const raster::Window& window) {
        const std::string& name = layout_.maps[map];
        if (config::holds_classes(name))
            return (name == config::scribble_map ? scribble_ : pseudo_).read(window);
        distances_.resize(static_cast<std::size_t>(window.pixels()));
        const bool strokes = name == config::scribble_distance_map;
        ClassWindow& classes = strokes ? scribble_ : pseudo_;
        (strokes ? from_scribble_ : from_pseudo_)
            .fill(
                window, [&](const raster::Window& wide) { return classes.read(wide); }, distances_);
        return distances_;
    }

  private:
    const Manifest& layout_;
    ClassWindow scribble_, pseudo_;
    DistanceMap from_scribble_, from_pseudo_;
    std::vector<std::uint8_t> distances_;
};

std::vector<std::int64_t> class_pixels(std::span<const std::uint8_t> label, std::size_t classes) {
    std::array<std::int64_t, 256> counts{};
    for (const std::uint8_t value : label) ++counts[value];
    return {counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(classes)};
}

}  // namespace

void count_labels(raster::AlignedScene& scene, const LabelCoding& coding, std::vector<Block*>& blocks) {
    // Where there is no truth, what is learned from instead is shared out evenly.
    raster::ClassMap counted = raster::ClassMap::label;
    for (const raster::ClassMap map : {raster::ClassMap::scribble, raster::ClassMap::pseudo}) {
        if (!scene.has(counted)) counted = map;
    }
    ClassWindow labels(scene, coding, counted);
    for (Block* block : blocks) {
        constexpr std::int64_t rows = 256;
        const raster::Window& whole = block->window;
        for (std::int64_t row = 0; row < whole.height; row += rows) {
            const raster::Window part{whole.column, whole.row + row, whole.width,
                                      std::min(rows, whole.height - row)};
            const auto counts = class_pixels(labels.read(part), coding.classes());
            for (std::size_t c = 0; c < counts.size(); ++c) block->class_pixels[c] += counts[c];
        }
    }
}

std::vector<TileRecord> cut_scene(const config::Config& config, const Manifest& layout,
                                  raster::AlignedScene& scene, const LabelCoding& coding,
                                  const ScenePlan& plan, const std::filesystem::path& folder,
                                  SceneRecord& record) {
    ClassWindow labels(scene, coding, raster::ClassMap::label);
    WeakMaps maps(config, layout, scene, coding);
    const auto tile_pixels = static_cast<double>(config.grid.tile * config.grid.tile);
    std::vector<TileRecord> tiles;
    std::vector<std::uint8_t> label, known;  // known: to the truth or to any other class map
    CountOnce once(config.grid.scoring == "once");
    for (const SplitPart& part : tile_windows(config, scene.grid(), plan)) {
        TileRecord tile;
        tile.index = static_cast<std::int64_t>(tiles.size());
        tile.window = part.window;
        tile.split = part.split;
        tile.block = part.block;
        const auto read = labels.read(part.window);
        label.assign(read.begin(), read.end());
        known.assign(label.begin(), label.end());
        for (std::size_t m = 0; m < layout.maps.size(); ++m) {
            if (!config::holds_classes(layout.maps[m])) continue;
            const auto map = maps.read(m, part.window);
            for (std::size_t i = 0; i < known.size(); ++i) known[i] = std::min(known[i], map[i]);
        }
        const auto labelled =
            tile_pixels - static_cast<double>(std::count(known.begin(), known.end(), ignored_label));
        if (labelled == 0 || labelled < config.grid.min_valid * tile_pixels) continue;
        once.apply(tile, label);
        tile.class_pixels = class_pixels(label, coding.classes());
        // A training tile may teach by scribbles or pseudo-labels alone; the others are there to be scored.
        const bool taught = tile.split == Split::train && !layout.maps.empty();
        if (!taught &&
            std::accumulate(tile.class_pixels.begin(), tile.class_pixels.end(), std::int64_t{0}) == 0)
            continue;
        once.add(tile);
        tiles.push_back(std::move(tile));
    }
    record.tiles = static_cast<std::int64_t>(tiles.size());
    record.training.clear();
    for (const StoredModality& modality : layout.modalities)
        record.training.emplace_back(static_cast<std::size_t>(modality.bands));
    const std::filesystem::path shard = folder / "scenes" / (record.stem + ".h5");
    // HDF5 has no chunks to place in an empty dataset: a scene without tiles has a record only.
    std::optional<ShardWriter> writer;
    if (!tiles.empty()) writer.emplace(shard, layout, record.tiles);
    std::vector<std::byte> values;
    std::vector<std::uint8_t> mask;
    std::vector<float> scratch;
    std::vector<std::int64_t> valid(layout.modalities.size());
    CountOnce once_more(config.grid.scoring == "once");
    for (TileRecord& tile : tiles) {
        for (std::size_t m = 0; m < layout.modalities.size(); ++m) {
            const StoredModality& stored = layout.modalities[m];
            const config::Modality& described = config.modalities[m];
            values.resize(values_bytes(layout, stored));
            mask.resize(mask_bytes(layout, stored));
            const auto counts = scene.read(m, tile.window, values, mask);
            TileModality result;
            result.valid = counts.valid;
            result.non_finite = counts.non_finite;
            if (described.relative)
                result.base = relative_base(values, mask, stored.dtype, stored.bands, described, scratch);
            result.values_crc = crc32c(values);
            result.mask_crc = crc32c(std::as_bytes(std::span(mask)));
            valid[m] += counts.valid;
            if (tile.split == Split::train) {
                add_moments(values, mask, stored.dtype, static_cast<float>(result.base), described,
                            record.training[m]);
            }
            writer->write_modality(tile.index, m, values, mask);
            tile.modalities.push_back(result);
        }
        const auto read = labels.read(tile.window);
        label.assign(read.begin(), read.end());
        once_more.apply(tile, label);
        once_more.add(tile);
        tile.label_crc = crc32c(std::as_bytes(std::span(label)));
        writer->write_label(tile.index, label);
        for (std::size_t m = 0; m < layout.maps.size(); ++m) {
            const auto map = maps.read(m, tile.window);
            TileMap result;
            if (config::holds_classes(layout.maps[m]))
                result.class_pixels = class_pixels(map, coding.classes());
            result.crc = crc32c(std::as_bytes(map));
            writer->write_map(tile.index, m, map);
            tile.maps.push_back(std::move(result));
        }
    }
    for (std::size_t m = 0; m < valid.size() && !tiles.empty(); ++m) {
        if (valid[m] > 0) continue;
        throw Error(ExitCode::data_invalid, 210,
                    fmt::format("scene '{}': {} has no valid pixel of modality '{}' under any of the {} "
                                "tiles: all are nodata.",
                                record.id, scene.modality(m).source().files[0].string(),
                                layout.modalities[m].name, tiles.size()),
                    "Check nodata and the files.");
    }
    if (writer) {
        writer->finish(record);
    } else {
        record.values.clear();
        record.masks.clear();
        for (const StoredModality& modality : layout.modalities) {
            record.values.push_back({0, values_bytes(layout, modality)});
            record.masks.push_back({0, mask_bytes(layout, modality)});
        }
        record.label = {0, label_bytes(layout)};
        record.maps.assign(layout.maps.size(), {0, label_bytes(layout)});
    }
    write_file_atomically(folder / "scenes" / (record.stem + ".json"), scene_to_text(record, tiles, layout));
    return tiles;
}

}  // namespace terrane::tiles
