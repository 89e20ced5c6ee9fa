#include "tiles/manifest.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "config/weak_maps.hpp"

namespace terrane::tiles {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::int64_t largest_tile = 1 << 15;
constexpr std::int64_t most_bands = 4096;
constexpr std::int64_t most_tiles = std::int64_t{1} << 32;
constexpr std::size_t largest_record = std::size_t{1} << 30;

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
    throw Error(ExitCode::data_invalid, 402, fmt::format("{} is damaged: {}.", where, why),
                "Run 'terrane data build' again.");
}

/// Typed, range-checked access to untrusted JSON.
class Field {
  public:
    Field(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

    Field operator[](const char* key) const {
        if (!json_.is_object() || !json_.contains(key)) refuse(where_, fmt::format("'{}' is missing", key));
        return {json_.at(key), where_};
    }
    bool has(const char* key) const { return json_.is_object() && json_.contains(key); }
    std::vector<Field> list(std::size_t most) const {
        if (!json_.is_array() || json_.size() > most) refuse(where_, "a list is no list or too long");
        std::vector<Field> items;
        items.reserve(json_.size());
        for (const Json& item : json_) items.emplace_back(item, where_);
        return items;
    }
    std::int64_t integer(std::int64_t low, std::int64_t high) const {
        if (!json_.is_number_integer()) refuse(where_, "a whole number is expected");
        if (json_.is_number_unsigned() && json_.get<std::uint64_t>() > static_cast<std::uint64_t>(high)) {
            refuse(where_, fmt::format("{} is out of range", json_.get<std::uint64_t>()));
        }
        const auto value = json_.get<std::int64_t>();
        if (value < low || value > high) refuse(where_, fmt::format("{} is out of range", value));
        return value;
    }
    double number() const {
        if (!json_.is_number()) refuse(where_, "a number is expected");
        const double value = json_.get<double>();
        if (!std::isfinite(value)) refuse(where_, "a number is not finite");
        return value;
    }
    std::string text() const {
        if (!json_.is_string()) refuse(where_, "a text is expected");
        return json_.get<std::string>();
    }
    const std::string& where() const { return where_; }

  private:
    const Json& json_;
    std::string where_;
};

Json parse(const std::string& text, const std::string& where) {
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) refuse(where, "it is no JSON object");
    return json;
}

constexpr std::int64_t largest_integer = std::numeric_limits<std::int64_t>::max();

Json place_json(const DatasetPlace& place) {
    return {place.offset, place.bytes};
}

DatasetPlace place_from(const Field& field, std::uint64_t bytes) {
    const auto parts = field.list(2);
    if (parts.size() != 2) refuse(field.where(), "a dataset's place is incomplete");
    DatasetPlace place;
    place.offset = static_cast<std::uint64_t>(parts[0].integer(0, largest_integer));
    place.bytes = static_cast<std::uint64_t>(parts[1].integer(0, largest_integer));
    if (place.bytes != bytes) refuse(field.where(), "a dataset's size does not fit the tile");
    return place;
}

/// The maps of weak supervision of one tile.
void read_maps(const Field& field, const Manifest& shared, TileRecord& tile) {
    const std::int64_t pixels = shared.tile * shared.tile;
    for (const Field& entry : field.list(shared.maps.size())) {
        const bool classes = config::holds_classes(shared.maps[tile.maps.size()]);
        TileMap map;
        map.crc = static_cast<std::uint32_t>(entry["crc"].integer(0, UINT32_MAX));
        std::int64_t labelled = 0;
        for (const Field& count : entry["classes"].list(shared.classes.size())) {
            map.class_pixels.push_back(count.integer(0, pixels));
            labelled += map.class_pixels.back();
        }
        if (map.class_pixels.size() != (classes ? shared.classes.size() : 0) || labelled > pixels)
            refuse(field.where(), "the class histogram of a map does not fit");
        tile.maps.push_back(std::move(map));
    }
    if (tile.maps.size() != shared.maps.size()) refuse(field.where(), "a tile lacks a map");
}

bool plain_name(const std::string& name) {
    return !name.empty() && name.size() < 200 && name[0] != '.' &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
               return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
           });
}

}  // namespace

const char* name_of(Split split) {
    switch (split) {
        case Split::train:
            return "train";
        case Split::val:
            return "val";
        case Split::test:
            return "test";
    }
    throw InternalError("unknown split");
}

Split split_from_name(const std::string& name, const std::string& where) {
    for (const Split split : all_splits) {
        if (name == name_of(split)) return split;
    }
    throw Error(ExitCode::config_invalid, 302, fmt::format("{}: '{}' is no split.", where, name),
                "Use train, val or test.");
}

std::uint64_t values_bytes(const Manifest& manifest, const StoredModality& modality) {
    return mask_bytes(manifest, modality) * static_cast<std::uint64_t>(modality.bands) *
           size_of(modality.dtype);
}

std::uint64_t mask_bytes(const Manifest& manifest, const StoredModality& modality) {
    const auto edge = static_cast<std::uint64_t>(manifest.tile / modality.scale);
    return edge * edge;
}

std::uint64_t label_bytes(const Manifest& manifest) {
    return static_cast<std::uint64_t>(manifest.tile) * static_cast<std::uint64_t>(manifest.tile);
}

std::string scene_to_text(const SceneRecord& scene, const std::vector<TileRecord>& tiles,
                          const Manifest& shared) {
    Json json;
    json["format"] = format_version;
    json["id"] = scene.id;
    json["fingerprint"] = scene.fingerprint;
    json["crs"] = scene.grid.crs;
    json["transform"] = scene.grid.transform;
    json["width"] = scene.grid.width;
    json["height"] = scene.grid.height;
    for (const StoredSource& source : scene.sources) {
        json["sources"].push_back({{"path", source.path},
                                   {"bytes", source.fingerprint.size},
                                   {"modified_ns", source.fingerprint.modified_ns},
                                   {"hash", source.fingerprint.hash}});
    }
    for (const DatasetPlace& place : scene.values) json["values"].push_back(place_json(place));
    for (const DatasetPlace& place : scene.masks) json["masks"].push_back(place_json(place));
    json["label"] = place_json(scene.label);
    for (const DatasetPlace& place : scene.maps) json["maps"].push_back(place_json(place));
    for (const auto& modality : scene.training) {
        Json bands = Json::array();
        for (const Moments& m : modality) {
            bands.push_back(m.count == 0 ? Json{0, 0, 0, 0, 0}
                                         : Json{m.count, m.mean, m.squares, m.minimum, m.maximum});
        }
        json["training"].push_back(std::move(bands));
    }
    json["tiles"] = Json::array();
    for (const TileRecord& tile : tiles) {
        Json entry;
        entry["at"] = {tile.window.column, tile.window.row};
        entry["split"] = name_of(tile.split);
        entry["block"] = tile.block;
        entry["classes"] = tile.class_pixels;
        entry["label_crc"] = tile.label_crc;
        for (const TileModality& modality : tile.modalities) {
            entry["modalities"].push_back({{"valid", modality.valid},
                                           {"non_finite", modality.non_finite},
                                           {"base", modality.base},
                                           {"crc", {modality.values_crc, modality.mask_crc}}});
        }
        for (const TileMap& map : tile.maps)
            entry["maps"].push_back({{"classes", map.class_pixels}, {"crc", map.crc}});
        json["tiles"].push_back(std::move(entry));
    }
    TERRANE_ASSERT(scene.values.size() == shared.modalities.size() && scene.maps.size() == shared.maps.size(),
                   "scene {} lacks datasets", scene.id);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void scene_from_text(const std::string& text, const Manifest& shared, const std::string& where,
                     SceneRecord& scene, std::vector<TileRecord>& tiles) {
    const Json json = parse(text, where);
    const Field root(json, where);
    root["format"].integer(format_version, format_version);
    scene.id = root["id"].text();
    scene.fingerprint = root["fingerprint"].text();
    scene.grid.crs = root["crs"].text();
    const auto transform = root["transform"].list(6);
    if (transform.size() != 6) refuse(where, "the transform is incomplete");
    for (std::size_t i = 0; i < 6; ++i) scene.grid.transform[i] = transform[i].number();
    scene.grid.width = root["width"].integer(1, 1 << 30);
    scene.grid.height = root["height"].integer(1, 1 << 30);
    for (const Field& source : root["sources"].list(1'000'000)) {
        StoredSource stored;
        stored.path = source["path"].text();
        stored.fingerprint.size = static_cast<std::uint64_t>(source["bytes"].integer(0, largest_integer));
        stored.fingerprint.modified_ns =
            source["modified_ns"].integer(std::numeric_limits<std::int64_t>::min(), largest_integer);
        stored.fingerprint.hash = source["hash"].text();
        scene.sources.push_back(std::move(stored));
    }
    const auto values = root["values"].list(shared.modalities.size());
    const auto masks = root["masks"].list(shared.modalities.size());
    if (values.size() != shared.modalities.size() || masks.size() != values.size())
        refuse(where, "a modality is missing");
    for (std::size_t m = 0; m < values.size(); ++m) {
        scene.values.push_back(place_from(values[m], values_bytes(shared, shared.modalities[m])));
        scene.masks.push_back(place_from(masks[m], mask_bytes(shared, shared.modalities[m])));
    }
    scene.label = place_from(root["label"], label_bytes(shared));
    if (!shared.maps.empty()) {
        for (const Field& place : root["maps"].list(shared.maps.size()))
            scene.maps.push_back(place_from(place, label_bytes(shared)));
    }
    if (scene.maps.size() != shared.maps.size()) refuse(where, "a map is missing");
    const auto training = root["training"].list(shared.modalities.size());
    if (training.size() != shared.modalities.size()) refuse(where, "statistics are missing");
    for (std::size_t m = 0; m < training.size(); ++m) {
        scene.training.emplace_back();
        for (const Field& band : training[m].list(static_cast<std::size_t>(shared.modalities[m].bands))) {
            const auto numbers = band.list(5);
            if (numbers.size() != 5) refuse(where, "statistics are incomplete");
            Moments moments;
            moments.count = numbers[0].integer(0, largest_integer);
            if (moments.count > 0) {
                moments.mean = numbers[1].number();
                moments.squares = numbers[2].number();
                moments.minimum = numbers[3].number();
                moments.maximum = numbers[4].number();
            }
            scene.training.back().push_back(moments);
        }
        if (scene.training.back().size() != static_cast<std::size_t>(shared.modalities[m].bands))
            refuse(where, "statistics are incomplete");
    }
    const std::int64_t pixels = shared.tile * shared.tile;
    const auto entries = root["tiles"].list(static_cast<std::size_t>(most_tiles));
    scene.tiles = static_cast<std::int64_t>(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Field& entry = entries[i];
        TileRecord tile;
        tile.index = static_cast<std::int64_t>(i);
        const auto at = entry["at"].list(2);
        if (at.size() != 2) refuse(where, "a tile's place is incomplete");
        tile.window = {at[0].integer(0, scene.grid.width - shared.tile),
                       at[1].integer(0, scene.grid.height - shared.tile), shared.tile, shared.tile};
        tile.split = split_from_name(entry["split"].text(), where);
        tile.block = entry["block"].integer(0, largest_integer);
        std::int64_t labelled = 0;
        for (const Field& count : entry["classes"].list(shared.classes.size())) {
            tile.class_pixels.push_back(count.integer(0, pixels));
            labelled += tile.class_pixels.back();
        }
        if (tile.class_pixels.size() != shared.classes.size() || labelled > pixels)
            refuse(where, "a class histogram does not fit");
        tile.label_crc = static_cast<std::uint32_t>(entry["label_crc"].integer(0, UINT32_MAX));
        for (const Field& modality : entry["modalities"].list(shared.modalities.size())) {
            TileModality stored;
            stored.valid = modality["valid"].integer(0, pixels);
            stored.non_finite = modality["non_finite"].integer(0, pixels);
            stored.base = modality["base"].number();
            const auto crc = modality["crc"].list(2);
            if (crc.size() != 2) refuse(where, "a checksum is missing");
            stored.values_crc = static_cast<std::uint32_t>(crc[0].integer(0, UINT32_MAX));
            stored.mask_crc = static_cast<std::uint32_t>(crc[1].integer(0, UINT32_MAX));
            tile.modalities.push_back(stored);
        }
        if (tile.modalities.size() != shared.modalities.size()) refuse(where, "a tile lacks a modality");
        if (!shared.maps.empty()) read_maps(entry["maps"], shared, tile);
        tiles.push_back(std::move(tile));
    }
}

void write_manifest(const std::filesystem::path& folder, const Manifest& manifest) {
    Json json;
    json["format"] = format_version;
    json["config"] = manifest.config_fingerprint;
    json["tile"] = manifest.tile;
    if (manifest.scored_by_window) json["scoring"] = "windows";
    for (const StoredModality& modality : manifest.modalities) {
        Json entry;
        entry["name"] = modality.name;
        entry["dtype"] = std::string(name_of(modality.dtype));
        entry["scale"] = modality.scale;
        for (std::size_t b = 0; b < static_cast<std::size_t>(modality.bands); ++b) {
            const BandStatistics& band = modality.statistics[b];
            entry["bands"].push_back({{"name", modality.band_names[b]},
                                      {"pixels", band.pixels},
                                      {"mean", band.mean},
                                      {"std", band.standard_deviation},
                                      {"min", band.minimum},
                                      {"max", band.maximum}});
        }
        json["modalities"].push_back(std::move(entry));
    }
    for (const StoredClass& stored : manifest.classes) {
        json["classes"].push_back({{"id", stored.id}, {"name", stored.name}, {"color", stored.color}});
    }
    for (const std::string& map : manifest.maps) json["maps"].push_back(map);
    for (const SceneRecord& scene : manifest.scenes) {
        const std::filesystem::path record = folder / "scenes" / (scene.stem + ".json");
        json["scenes"].push_back(
            {{"id", scene.id}, {"file", scene.stem}, {"sha256", sha256_of_file(record)}});
    }
    write_file_atomically(folder / "manifest.json",
                          json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Manifest read_manifest(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / "manifest.json";
    if (!std::filesystem::exists(path)) {
        throw Error(ExitCode::input_missing, 401,
                    fmt::format("{} holds no tile store (no manifest.json).", folder.string()),
                    "Make it with 'terrane data build', or set data.tiles.");
    }
    const std::string where = path.string();
    const Json json = parse(read_text_file(path, largest_record), where);
    const Field root(json, where);
    Manifest manifest;
    root["format"].integer(format_version, format_version);
    manifest.config_fingerprint = root["config"].text();
    manifest.tile = root["tile"].integer(1, largest_tile);
    if (root.has("scoring")) {
        manifest.scored_by_window = root["scoring"].text() == "windows";
        if (!manifest.scored_by_window) refuse(where, "'scoring' is no word this program knows");
    }
    for (const Field& entry : root["modalities"].list(256)) {
        StoredModality modality;
        modality.name = entry["name"].text();
        modality.dtype = dtype_from_name(entry["dtype"].text());
        modality.scale = entry["scale"].integer(1, manifest.tile);
        if (manifest.tile % modality.scale != 0) refuse(where, "a scale does not divide the tile");
        for (const Field& band : entry["bands"].list(most_bands)) {
            modality.band_names.push_back(band["name"].text());
            BandStatistics statistics;
            statistics.pixels = band["pixels"].integer(0, largest_integer);
            statistics.mean = band["mean"].number();
            statistics.standard_deviation = band["std"].number();
            statistics.minimum = band["min"].number();
            statistics.maximum = band["max"].number();
            modality.statistics.push_back(statistics);
        }
        modality.bands = static_cast<std::int64_t>(modality.band_names.size());
        if (modality.bands == 0) refuse(where, "a modality has no bands");
        manifest.modalities.push_back(std::move(modality));
    }
    for (const Field& entry : root["classes"].list(255)) {
        StoredClass stored;
        stored.id = entry["id"].integer(std::numeric_limits<std::int32_t>::min(),
                                        std::numeric_limits<std::int32_t>::max());
        stored.name = entry["name"].text();
        const auto color = entry["color"].list(3);
        if (color.size() != 3) refuse(where, "a colour is incomplete");
        for (std::size_t i = 0; i < 3; ++i) stored.color[i] = static_cast<int>(color[i].integer(0, 255));
        manifest.classes.push_back(std::move(stored));
    }
    if (root.has("maps")) {
        const auto listed = root["maps"].list(config::weak_map_names.size());
        for (const Field& entry : listed) manifest.maps.push_back(entry.text());
        std::vector<std::string> ordered;
        for (const std::string_view name : config::weak_map_names) {
            if (std::find(manifest.maps.begin(), manifest.maps.end(), name) != manifest.maps.end())
                ordered.emplace_back(name);
        }
        if (ordered != manifest.maps) refuse(where, "its maps are unknown or out of order");
    }
    for (const Field& entry : root["scenes"].list(1'000'000)) {
        SceneRecord scene;
        scene.stem = entry["file"].text();
        if (!plain_name(scene.stem)) refuse(where, "a scene's file name is not plain");
        const std::filesystem::path record = folder / "scenes" / (scene.stem + ".json");
        if (!std::filesystem::exists(record)) refuse(where, fmt::format("{} is missing", record.string()));
        const std::string text = read_text_file(record, largest_record);
        if (sha256(text) != entry["sha256"].text()) {
            refuse(record.string(), "its SHA-256 is not the one that the manifest names");
        }
        std::vector<TileRecord> tiles;
        scene_from_text(text, manifest, record.string(), scene, tiles);
        if (scene.id != entry["id"].text()) refuse(record.string(), "it is of another scene");
        for (TileRecord& tile : tiles) {
            tile.scene = manifest.scenes.size();
            manifest.tiles.push_back(std::move(tile));
        }
        manifest.scenes.push_back(std::move(scene));
    }
    return manifest;
}

}  // namespace terrane::tiles
