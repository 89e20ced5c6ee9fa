#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "raster/describe.hpp"
#include "raster/grid.hpp"
#include "tensor/dtype.hpp"
#include "tiles/statistics.hpp"

/// The tile store:
///
///   manifest.json                       what all scenes share, and which scene files belong to it
///   scenes/<id>-<fingerprint>.json      the tiles of a scene: place, split, class pixels, checksums
///   scenes/<id>-<fingerprint>.h5        their pixels: /<modality>/values [tile, height, width, band] in the
///   native
///                                       type, /<modality>/mask u8 [tile, height, width] (1 valid), /label u8
///                                       [tile, height, width] (class index, 255 ignored), and like it the
///                                       maps of weak supervision (config/weak_maps.hpp); one chunk is one
///                                       tile, unfiltered
///
/// A file is published by rename when it is whole, the manifest last: a store either opens or does not exist.
namespace terrane::tiles {

inline constexpr int format_version = 1;
inline constexpr std::uint8_t ignored_label = 255;

enum class Split { train, val, test };
inline constexpr std::array<Split, 3> all_splits{Split::train, Split::val, Split::test};
const char* name_of(Split split);
/// Throws Error E0302 for another word; `where` names its origin.
Split split_from_name(const std::string& name, const std::string& where);

/// Values of one band over the valid pixels of the training tiles, after multiply, add, base and clip as
/// [[modality]] asks for; before normalisation.
struct BandStatistics {
    std::int64_t pixels = 0;
    double mean = 0;
    double standard_deviation = 0;
    double minimum = 0;
    double maximum = 0;
};

struct StoredModality {
    std::string name;
    DType dtype = DType::u8;
    std::int64_t bands = 1;
    std::int64_t scale = 1;  ///< reference pixels per pixel
    std::vector<std::string> band_names;
    std::vector<BandStatistics> statistics;  ///< per band; all zero without training tiles
};

struct StoredClass {
    std::int64_t id = 0;
    std::string name;
    std::array<int, 3> color{0, 0, 0};
};

/// A raster that a scene was made from.
struct StoredSource {
    std::string path;
    raster::FileFingerprint fingerprint;
};

/// A modality's part of one tile.
struct TileModality {
    std::int64_t valid = 0;       ///< valid pixels
    std::int64_t non_finite = 0;  ///< pixels masked because the raster holds NaN or infinity there
    double base = 0;  ///< of a relative modality: its 2nd percentile after multiply and add; else 0
    std::uint32_t values_crc = 0;
    std::uint32_t mask_crc = 0;
};

/// A map of weak supervision under one tile.
struct TileMap {
    std::vector<std::int64_t> class_pixels;  ///< of each class; empty for distance maps
    std::uint32_t crc = 0;
};

struct TileRecord {
    std::size_t scene = 0;   ///< index into Manifest::scenes
    std::int64_t index = 0;  ///< in the scene's shard
    raster::Window window;   ///< in reference pixels of the scene's grid
    Split split = Split::train;
    std::int64_t block = 0;  ///< the block, region or polygon it was cut from; unique within its scene
    std::vector<std::int64_t> class_pixels;  ///< labelled pixels of each class
    std::vector<TileModality> modalities;
    std::uint32_t label_crc = 0;
    std::vector<TileMap> maps;  ///< in the order of Manifest::maps
};

/// Where a dataset's chunks lie in the shard: chunk i at offset + i * bytes.
struct DatasetPlace {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

struct SceneRecord {
    std::string id;
    std::string stem;         ///< of its two files in scenes/
    std::string fingerprint;  ///< of everything its content depends on
    raster::Grid grid;
    std::int64_t tiles = 0;
    std::vector<DatasetPlace> values;  ///< per modality
    std::vector<DatasetPlace> masks;   ///< per modality
    DatasetPlace label;
    std::vector<DatasetPlace> maps;  ///< in the order of Manifest::maps
    std::vector<StoredSource> sources;
    std::vector<std::vector<Moments>> training;  ///< per modality and band, over the scene's training tiles
};

/// What an opened store says about itself.
struct Manifest {
    std::string config_fingerprint;  ///< of the configuration's data part, see fingerprint.hpp
    std::int64_t tile = 0;           ///< edge in reference pixels
    bool scored_by_window = false;   ///< grid.scoring = "windows": val and test tiles overlap, each is scored by itself
    std::vector<StoredModality> modalities;
    std::vector<StoredClass> classes;
    std::vector<std::string> maps;    ///< of weak supervision: some of config::weak_map_names, in their order
    std::vector<SceneRecord> scenes;  ///< sorted by id
    std::vector<TileRecord> tiles;    ///< scene by scene, in shard order
};

/// Bytes of one tile's dataset.
std::uint64_t values_bytes(const Manifest& manifest, const StoredModality& modality);
std::uint64_t mask_bytes(const Manifest& manifest, const StoredModality& modality);
std::uint64_t label_bytes(const Manifest& manifest);

/// A scene's record as the text of its .json file, and back. Parsing takes the text as hostile: sizes, ranges
/// and cross-references are checked against `shared` (tile, modalities, classes). Throws Error E0402.
std::string scene_to_text(const SceneRecord& scene, const std::vector<TileRecord>& tiles,
                          const Manifest& shared);
void scene_from_text(const std::string& text, const Manifest& shared, const std::string& where,
                     SceneRecord& scene, std::vector<TileRecord>& tiles);

/// Writes manifest.json (the scenes' records must be in place). Throws Error E0901.
void write_manifest(const std::filesystem::path& folder, const Manifest& manifest);
/// Reads a manifest and all scene records, with their hashes. Throws Error E0401 (no store there, 66) or
/// E0402.
Manifest read_manifest(const std::filesystem::path& folder);

}  // namespace terrane::tiles
