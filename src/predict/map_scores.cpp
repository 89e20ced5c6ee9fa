#include "predict/map_scores.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <sstream>

#include "base/error.hpp"
#include "predict/class_map_reader.hpp"
#include "raster/describe.hpp"
#include "raster/scene_files.hpp"
#include "tiles/count_once.hpp"
#include "tiles/tile_memory.hpp"

namespace terrane::predict {

namespace {

namespace fs = std::filesystem;

// Whole file tiles, and a few megabytes at a time.
constexpr std::int64_t piece_rows = 512;
constexpr std::int64_t piece_columns = 4096;

/// One rank's counts, and what it takes to make them everybody's.
class Counts {
  public:
    Counts(const config::Config& config, comm::Communicator& communicator)
        : communicator_(communicator),
          scores_{report::ConfusionMatrix(static_cast<std::int64_t>(config.classes.size()))} {}

    void add(std::span<const std::uint8_t> truth, std::span<const std::uint8_t> predicted) {
        for (std::size_t i = 0; i < truth.size(); ++i) {
            if (truth[i] == tiles::ignored_label) continue;
            if (predicted[i] == no_prediction) {
                ++scores_.unpredicted;
            } else {
                scores_.confusion.add(truth[i], predicted[i]);
            }
        }
    }

    /// Throws Error E0321 on every rank if any of them found values of no class in map number `map`.
    void require_classes(const fs::path& map, const std::map<std::int64_t, std::int64_t>& unknown) {
        std::string own;
        for (const auto& [value, pixels] : unknown) own += fmt::format("{} {}\n", value, pixels);
        std::map<std::int64_t, std::int64_t> all;
        for (const std::string& text : communicator_.all_gather(own)) {
            std::istringstream lines(text);
            std::int64_t value = 0, pixels = 0;
            while (lines >> value >> pixels) all[value] += pixels;
        }
        if (all.empty()) return;
        const auto most = std::max_element(all.begin(), all.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        const std::string value =
            most->first == INT64_MIN ? "a number that is not whole" : std::to_string(most->first);
        throw Error(
            ExitCode::data_invalid, 321,
            fmt::format("the map {} holds {} ({} px), which is the id of no [[class]]{}.", map.string(),
                        value, most->second,
                        all.size() > 1 ? fmt::format("; so are {} other values", all.size() - 1) : ""),
            "Give a map of [[class]].id, with 255 or its own nodata value where it says nothing.");
    }

    MapScores summed() {
        communicator_.sum(scores_.confusion.counts());
        std::array<std::int64_t, 1> unpredicted{scores_.unpredicted};
        communicator_.sum(unpredicted);
        scores_.unpredicted = unpredicted[0];
        return scores_;
    }

  private:
    comm::Communicator& communicator_;
    MapScores scores_;
};

/// The pieces of a map that a rank compares, in order.
std::vector<raster::Window> own_pieces(const raster::Grid& grid, const comm::Communicator& communicator) {
    std::vector<raster::Window> own;
    std::int64_t index = 0;
    for (std::int64_t row = 0; row < grid.height; row += piece_rows) {
        for (std::int64_t column = 0; column < grid.width; column += piece_columns, ++index) {
            if (index % communicator.size() != communicator.rank()) continue;
            own.push_back({column, row, std::min(piece_columns, grid.width - column),
                           std::min(piece_rows, grid.height - row)});
        }
    }
    return own;
}

/// Where the map's first pixel is in a scene's grid, if their pixels coincide.
std::optional<std::array<std::int64_t, 2>> offset_in(const raster::Grid& scene, const raster::Grid& map) {
    const auto &s = scene.transform, &m = map.transform;
    const auto equal = [](double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b) + 1e-12; };
    if (!scene.north_up() || !map.north_up() || !equal(m[1], s[1]) || !equal(m[5], s[5])) return {};
    const double column = (m[0] - s[0]) / s[1], row = (m[3] - s[3]) / s[5];
    const double whole_column = std::round(column), whole_row = std::round(row);
    constexpr double tolerance = 1e-3;  // of a pixel
    if (std::abs(column - whole_column) > tolerance || std::abs(row - whole_row) > tolerance) return {};
    if (!raster::same_crs(scene.crs, map.crs)) return {};
    const auto left = static_cast<std::int64_t>(whole_column), top = static_cast<std::int64_t>(whole_row);
    if (left >= scene.width || top >= scene.height || left + map.width <= 0 || top + map.height <= 0)
        return {};
    return std::array{left, top};
}

/// A map in its scene.
struct PlacedMap {
    std::size_t scene = 0;
    std::array<std::int64_t, 2> offset{};  // of the map's first pixel: column, row
};

PlacedMap place(const tiles::TileStore& store, const fs::path& map, const raster::Grid& grid) {
    std::vector<PlacedMap> found;
    for (std::size_t s = 0; s < store.manifest().scenes.size(); ++s) {
        if (const auto offset = offset_in(store.manifest().scenes[s].grid, grid))
            found.push_back({s, *offset});
    }
    if (found.size() > 1) {
        std::erase_if(found, [&](const PlacedMap& candidate) {
            return store.manifest().scenes[candidate.scene].id != map.stem().string();
        });
    }
    if (found.size() == 1) return found[0];
    throw Error(
        ExitCode::data_invalid, 322,
        fmt::format("the map {} of {} lies on the pixels of {} of the tile store {}.", map.string(),
                    grid.text(), found.empty() ? "no scene" : "several scenes", store.folder().string()),
        "Give a map on the reference grid of the tiles, named like its scene, or leave out --split.");
}

}  // namespace

std::vector<MapToScore> pair_with_truth(const config::Config& config, const std::vector<fs::path>& maps,
                                        const std::vector<fs::path>& truth) {
    std::vector<MapToScore> pairs;
    if (!truth.empty()) {
        for (const fs::path& map : maps) pairs.push_back({map, truth});
        return pairs;
    }
    if (config.label.files.empty()) {
        throw Error(ExitCode::config_invalid, 507,
                    "the configuration has no label.files, so there is no truth for the map.",
                    "Add [label] files, or name the truth with --truth.");
    }
    // The labels alone, grouped into scenes as data build groups them.
    config::Config labels = config;
    labels.modalities.assign(1, {});
    labels.modalities[0].name = "label";
    labels.modalities[0].files = config.label.files;
    labels.modalities[0].scene = config.label.scene;
    labels.grid.reference.clear();
    labels.label.files.clear();
    const auto scenes = raster::find_scenes(labels, raster::LabelUse::ignored);
    for (const fs::path& map : maps) {
        auto scene = scenes.begin();
        if (scenes.size() > 1) {
            scene = std::find_if(scenes.begin(), scenes.end(),
                                 [&](const auto& candidate) { return candidate.id == map.stem().string(); });
        }
        if (scene == scenes.end()) {
            throw Error(ExitCode::data_invalid, 312,
                        fmt::format("[label] has {} scenes, but none is called '{}' like the map {}.",
                                    scenes.size(), map.stem().string(), map.string()),
                        "Name the map like its scene, or name its truth with --truth.");
        }
        pairs.push_back({map, scene->modalities[0]});
    }
    return pairs;
}

MapScores score_maps(const config::Config& config, const std::vector<MapToScore>& maps,
                     comm::Communicator& communicator) {
    Counts counts(config, communicator);
    for (const MapToScore& pair : maps) {
        ClassMapReader map(config, pair.map);
        TruthReader truth(config, pair.truth, map.grid(), pair.map);
        if (communicator.rank() == 0) tiles::LabelCoding(config).check(pair.truth);
        for (const raster::Window& window : own_pieces(map.grid(), communicator))
            counts.add(truth.read(window), map.read(window));
        counts.require_classes(pair.map, map.unknown());
    }
    return counts.summed();
}

MapScores score_map_tiles(const config::Config& config, const tiles::TileStore& store, tiles::Split split,
                          const std::vector<MapToScore>& maps, comm::Communicator& communicator) {
    Counts counts(config, communicator);
    std::vector<bool> mapped(store.manifest().scenes.size(), false);
    tiles::TileReader reader(store);
    tiles::TileMemory memory(store.manifest());
    tiles::TileBuffers label_only = memory.buffers();
    for (auto& values : label_only.values) values = {};
    for (auto& mask : label_only.masks) mask = {};
    std::int64_t tiles = 0;
    for (const MapToScore& pair : maps) {
        ClassMapReader map(config, pair.map);
        const PlacedMap placed = place(store, pair.map, map.grid());
        if (mapped[placed.scene]) {
            throw Error(ExitCode::data_invalid, 322,
                        fmt::format("the map {} is the second one of scene '{}'.", pair.map.string(),
                                    store.manifest().scenes[placed.scene].id),
                        "Give one map per scene, so that every pixel counts once.");
        }
        mapped[placed.scene] = true;
        std::optional<TruthReader> truth;
        if (!pair.truth.empty()) {
            truth.emplace(config, pair.truth, map.grid(), pair.map);
            if (communicator.rank() == 0) tiles::LabelCoding(config).check(pair.truth);
        }
        tiles::CountOnce once;
        for (const std::int64_t index : store.tiles_of(split)) {
            const tiles::TileRecord& tile = store.tile(index);
            if (tile.scene != placed.scene) continue;
            if (tiles++ % communicator.size() == communicator.rank()) {
                raster::Window window = tile.window;
                window.column -= placed.offset[0];
                window.row -= placed.offset[1];
                std::span<std::uint8_t> label = memory.label;
                if (truth) {
                    label = truth->read(window);
                    once.apply(tile, label);
                } else {
                    reader.read(index, label_only);
                }
                counts.add(label, map.read(window));
            }
            once.add(tile);
        }
        counts.require_classes(pair.map, map.unknown());
    }
    if (tiles == 0) {
        throw Error(ExitCode::data_invalid, 514,
                    fmt::format("the split {} has no tiles under the map.", name_of(split)),
                    "Check [split], or leave out --split to score the whole map.");
    }
    MapScores scores = counts.summed();
    scores.tiles = tiles;
    return scores;
}

}  // namespace terrane::predict
