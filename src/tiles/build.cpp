#include "tiles/build.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "config/weak_maps.hpp"
#include "raster/aligned_scene.hpp"
#include "tiles/build_lock.hpp"
#include "tiles/cut_scene.hpp"
#include "tiles/fingerprint.hpp"
#include "tiles/store.hpp"

namespace terrane::tiles {

namespace {

using Json = nlohmann::ordered_json;

/// Runs `work` for this rank's share of the scenes and returns every scene's result on every rank. The error
/// of the first scene that has one is thrown on all ranks.
std::vector<Json> for_scenes(const Ranks& ranks, std::size_t scenes,
                             const std::function<Json(std::size_t)>& work) {
    Json own = Json::object();
    for (std::size_t i = static_cast<std::size_t>(ranks.rank); i < scenes;
         i += static_cast<std::size_t>(ranks.size)) {
        Json& slot = own[std::to_string(i)];
        try {
            slot["result"] = work(i);
        } catch (const Error& error) {
            slot["error"] = {static_cast<int>(error.exit_code()), error.number(), error.message(),
                             error.fix()};
            break;
        }
    }
    std::vector<Json> results(scenes);
    const Json* failed = nullptr;
    std::size_t failed_scene = scenes;
    std::vector<Json> parts;
    for (const std::string& text : ranks.all_gather(own.dump(-1, ' ', false, Json::error_handler_t::replace)))
        parts.push_back(Json::parse(text));
    for (const Json& part : parts) {
        for (const auto& [key, slot] : part.items()) {
            const auto scene = static_cast<std::size_t>(std::stoull(key));
            if (slot.contains("error")) {
                if (scene < failed_scene) {
                    failed = &slot["error"];
                    failed_scene = scene;
                }
            } else {
                results[scene] = slot["result"];
            }
        }
    }
    if (failed != nullptr) {
        throw Error(static_cast<ExitCode>((*failed)[0].get<int>()), (*failed)[1].get<int>(),
                    (*failed)[2].get<std::string>(), (*failed)[3].get<std::string>());
    }
    return results;
}

std::string stem_of(const std::string& id, const std::string& fingerprint) {
    std::string plain;
    for (const char c : id.substr(0, 100))
        plain += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' ? c : '_';
    return fmt::format("s{}-{}", plain, fingerprint.substr(0, 16));
}

std::vector<StoredSource> sources_of(const config::Config& config, const raster::SceneFiles& files) {
    std::vector<std::filesystem::path> paths;
    for (const auto& modality : files.modalities) paths.insert(paths.end(), modality.begin(), modality.end());
    for (const auto* classes : {&files.label, &files.scribble, &files.pseudo})
        paths.insert(paths.end(), classes->begin(), classes->end());
    if (config.split.method == "polygons") paths.push_back(raster::resolve(config, config.split.polygons));
    std::vector<StoredSource> sources;
    for (const auto& path : paths)
        sources.push_back(
            {std::filesystem::absolute(path).lexically_normal().string(), raster::fingerprint(path)});
    return sources;
}

std::string sources_text(const std::vector<StoredSource>& sources) {
    std::string text;
    for (const StoredSource& source : sources) {
        text += fmt::format("{}\n{} {} {}\n", std::filesystem::path(source.path).filename().string(),
                            source.fingerprint.size, source.fingerprint.modified_ns, source.fingerprint.hash);
    }
    return text;
}

std::string plan_text(const ScenePlan& plan) {
    std::string text;
    for (const SplitPart& part : plan.parts)
        text += fmt::format("{} {} {}\n", name_of(part.split), part.block, part.window.text());
    return text;
}

/// What a finished store and the wish have in common: configuration and all sources.
bool up_to_date(const std::filesystem::path& folder, const std::string& config_fingerprint,
                const std::vector<std::pair<std::string, std::string>>& scenes) {
    try {
        const Manifest manifest = read_manifest(folder);
        if (manifest.config_fingerprint != config_fingerprint || manifest.scenes.size() != scenes.size())
            return false;
        for (std::size_t i = 0; i < scenes.size(); ++i) {
            const SceneRecord& scene = manifest.scenes[i];
            if (scene.id != scenes[i].first || sources_text(scene.sources) != scenes[i].second) return false;
            if (scene.tiles > 0 && !std::filesystem::exists(folder / "scenes" / (scene.stem + ".h5")))
                return false;
        }
        return true;
    } catch (const Error&) {
        return false;  // none yet, or a damaged one: build it
    }
}

/// A finished scene of an earlier run, if both of its files are whole.
bool reusable(const std::filesystem::path& folder, const Manifest& layout, const SceneRecord& wanted) {
    const std::filesystem::path record = folder / "scenes" / (wanted.stem + ".json");
    const std::filesystem::path shard = folder / "scenes" / (wanted.stem + ".h5");
    if (!std::filesystem::exists(record)) return false;
    try {
        SceneRecord found;
        std::vector<TileRecord> tiles;
        scene_from_text(read_text_file(record), layout, record.string(), found, tiles);
        if (found.id != wanted.id || found.fingerprint != wanted.fingerprint) return false;
        if (found.tiles == 0) return true;
        std::uint64_t end = found.label.offset + static_cast<std::uint64_t>(found.tiles) * found.label.bytes;
        for (const auto* places : {&found.values, &found.masks, &found.maps}) {
            for (const DatasetPlace& place : *places)
                end = std::max(end, place.offset + static_cast<std::uint64_t>(found.tiles) * place.bytes);
        }
        return std::filesystem::exists(shard) && std::filesystem::file_size(shard) >= end;
    } catch (const Error&) {
        return false;
    }
}

void remove_unreferenced(const std::filesystem::path& folder, const Manifest& manifest) {
    std::set<std::string> wanted;
    for (const SceneRecord& scene : manifest.scenes) {
        wanted.insert(scene.stem + ".json");
        wanted.insert(scene.stem + ".h5");
    }
    std::vector<std::filesystem::path> stale;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "scenes")) {
        if (!wanted.contains(entry.path().filename().string())) stale.push_back(entry.path());
    }
    std::error_code ignored;
    for (const auto& path : stale) std::filesystem::remove(path, ignored);
}

/// Modality types and names, equal for all scenes.
void take_layout(Manifest& layout, const config::Config& config, const std::vector<Json>& surveys,
                 const std::vector<raster::SceneFiles>& scenes) {
    for (std::size_t m = 0; m < config.modalities.size(); ++m) {
        StoredModality stored;
        stored.name = config.modalities[m].name;
        stored.scale = config.modalities[m].scale;
        for (std::size_t i = 0; i < scenes.size(); ++i) {
            const Json& found = surveys[i]["modalities"][m];
            const DType dtype = dtype_from_name(found["dtype"].get<std::string>());
            const auto names = found["bands"].get<std::vector<std::string>>();
            if (i == 0) {
                stored.dtype = dtype;
                stored.band_names = names;
            } else if (dtype != stored.dtype || names.size() != stored.band_names.size()) {
                throw Error(
                    ExitCode::data_invalid, 207,
                    fmt::format(
                        "modality '{}' has {} band(s) of {} in scene '{}', but {} of {} in scene '{}'.",
                        stored.name, names.size(), name_of(dtype), scenes[i].id, stored.band_names.size(),
                        name_of(stored.dtype), scenes[0].id),
                    "Give all scenes the same element type (gdal_translate -ot) and choose common bands.");
            }
        }
        stored.bands = static_cast<std::int64_t>(stored.band_names.size());
        stored.statistics.resize(stored.band_names.size());
        layout.modalities.push_back(std::move(stored));
    }
    for (const config::Class& c : config.classes) layout.classes.push_back({c.id, c.name, c.color});
    for (const std::string_view map : config::weak_map_names) {
        const bool strokes = map == config::scribble_map || map == config::scribble_distance_map;
        if (!(strokes ? config.scribble : config.pseudo).files.empty()) layout.maps.emplace_back(map);
    }
}

Json survey_scene(const config::Config& config, const raster::SceneFiles& files, const LabelCoding& coding) {
    for (const auto* classes : {&files.label, &files.scribble, &files.pseudo}) coding.check(*classes);
    const raster::AlignedScene scene(config, files, raster::LabelUse::used);
    const std::int64_t tile = config.grid.tile;
    if (scene.grid().width < tile || scene.grid().height < tile) {
        throw Error(
            ExitCode::data_invalid, 315,
            fmt::format("a tile of {0} x {0} pixels is larger than scene '{1}' of {2} x {3}.", tile, files.id,
                        scene.grid().width, scene.grid().height),
            fmt::format("Set grid.tile to at most {}.", std::min(scene.grid().width, scene.grid().height)));
    }
    Json survey;
    survey["crs"] = scene.grid().crs;
    survey["transform"] = scene.grid().transform;
    survey["size"] = {scene.grid().width, scene.grid().height};
    for (std::size_t m = 0; m < scene.modalities(); ++m) {
        const raster::AlignedReader& reader = scene.modality(m);
        survey["modalities"].push_back(
            {{"dtype", std::string(name_of(reader.dtype()))}, {"bands", reader.band_names()}});
    }
    return survey;
}

void report_splits(const Manifest& manifest) {
    for (const Split split : all_splits) {
        std::vector<std::int64_t> pixels(manifest.classes.size());
        std::int64_t count = 0;
        for (const TileRecord& tile : manifest.tiles) {
            if (tile.split != split) continue;
            ++count;
            for (std::size_t c = 0; c < pixels.size(); ++c) pixels[c] += tile.class_pixels[c];
        }
        if (count == 0) {
            log::warning("the {} split has no tiles.", name_of(split));
            continue;
        }
        for (std::size_t c = 0; c < pixels.size(); ++c) {
            if (pixels[c] == 0)
                log::warning("class '{}' does not occur in the {} split.", manifest.classes[c].name,
                             name_of(split));
        }
    }
    for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
        std::int64_t non_finite = 0;
        for (const TileRecord& tile : manifest.tiles) non_finite += tile.modalities[m].non_finite;
        if (non_finite > 0)
            log::warning("modality '{}': {} NaN or infinite pixels of the tiles are masked.",
                         manifest.modalities[m].name, non_finite);
    }
}

}  // namespace

BuildReport build(const config::Config& config, const std::filesystem::path& folder, const Ranks& ranks,
                  Rebuild rebuild) {
    if (config.classes.empty() || config.classes.size() > 254) {
        throw Error(ExitCode::config_invalid, 502,
                    fmt::format("the configuration has {} classes.", config.classes.size()),
                    "Add 1 to 254 [[class]].");
    }
    tile_alignment(config);
    BuildReport report;
    std::vector<raster::SceneFiles> scenes;
    for (raster::SceneFiles& scene : raster::find_scenes(config, raster::LabelUse::used)) {
        if (!scene.has_classes()) {
            ++report.without_label;
        } else {
            scenes.push_back(std::move(scene));
        }
    }
    if (scenes.empty()) {
        throw Error(ExitCode::data_invalid, 314, "no scene has a label, so there is nothing to learn from.",
                    "Set files in [label].");
    }
    report.scenes = static_cast<std::int64_t>(scenes.size());
    const LabelCoding coding(config);
    Manifest manifest;
    manifest.config_fingerprint = data_fingerprint(config);
    manifest.tile = config.grid.tile;
    manifest.scored_by_window = config.grid.scoring == "windows";

    std::vector<std::vector<StoredSource>> sources(scenes.size());
    std::vector<std::pair<std::string, std::string>> wanted;
    const auto fingerprints = for_scenes(ranks, scenes.size(), [&](std::size_t i) {
        sources[i] = sources_of(config, scenes[i]);
        return Json(sources_text(sources[i]));
    });
    for (std::size_t i = 0; i < scenes.size(); ++i)
        wanted.emplace_back(scenes[i].id, fingerprints[i].get<std::string>());
    const bool nothing_to_do = rebuild == Rebuild::changed && ranks.rank == 0 &&
                               up_to_date(folder, manifest.config_fingerprint, wanted);
    if (ranks.all_gather(nothing_to_do ? "1" : "0")[0] == "1") {
        report.up_to_date = true;
        report.reused = report.scenes;
        return report;
    }

    std::optional<BuildLock> lock;
    for_scenes(ranks, 1, [&](std::size_t) {
        lock.emplace(folder);
        return Json(true);
    });
    const auto surveys = for_scenes(ranks, scenes.size(),
                                    [&](std::size_t i) { return survey_scene(config, scenes[i], coding); });
    take_layout(manifest, config, surveys, scenes);
    std::vector<raster::Grid> grids;
    for (const Json& survey : surveys) {
        grids.push_back({survey["crs"].get<std::string>(), survey["transform"].get<std::array<double, 6>>(),
                         survey["size"][0].get<std::int64_t>(), survey["size"][1].get<std::int64_t>()});
    }
    std::vector<Block> blocks;
    if (config.split.method == "blocks") {
        blocks = make_blocks(config, grids);
        const auto counted = for_scenes(ranks, scenes.size(), [&](std::size_t i) {
            raster::AlignedScene scene(config, scenes[i], raster::LabelUse::used);
            std::vector<Block*> own;
            for (Block& block : blocks) {
                if (block.scene == i) own.push_back(&block);
            }
            count_labels(scene, coding, own);
            Json result = Json::array();
            for (const Block* block : own) result.push_back(block->class_pixels);
            return result;
        });
        for (Block& block : blocks)
            block.class_pixels =
                counted[block.scene][static_cast<std::size_t>(block.index)].get<std::vector<std::int64_t>>();
        assign_blocks(config, blocks);
    }

    create_folders(folder / "scenes");
    const auto stems = for_scenes(ranks, scenes.size(), [&](std::size_t i) {
        const ScenePlan plan = plan_scene(config, i, scenes[i].id, grids[i], blocks);
        SceneRecord record;
        record.id = scenes[i].id;
        record.fingerprint =
            sha256(fmt::format("{}\n{}\n{}\n{}\n{}", format_version, manifest.config_fingerprint, record.id,
                               wanted[i].second, plan_text(plan)));
        record.stem = stem_of(record.id, record.fingerprint);
        record.grid = grids[i];
        record.sources = sources[i];
        if (rebuild == Rebuild::changed && reusable(folder, manifest, record)) return Json{record.stem, 0};
        raster::AlignedScene scene(config, scenes[i], raster::LabelUse::used);
        cut_scene(config, manifest, scene, coding, plan, folder, record);
        log::debug("scene {}: {} tiles", record.id, record.tiles);
        return Json{record.stem, 1};
    });

    for (std::size_t i = 0; i < scenes.size(); ++i) {
        (stems[i][1].get<int>() == 1 ? report.built : report.reused) += 1;
        SceneRecord record;
        record.stem = stems[i][0].get<std::string>();
        const std::filesystem::path path = folder / "scenes" / (record.stem + ".json");
        std::vector<TileRecord> tiles;
        scene_from_text(read_text_file(path, std::size_t{1} << 30), manifest, path.string(), record, tiles);
        for (TileRecord& tile : tiles) {
            tile.scene = i;
            manifest.tiles.push_back(std::move(tile));
        }
        manifest.scenes.push_back(std::move(record));
    }
    if (manifest.tiles.empty()) {
        throw Error(ExitCode::data_invalid, 314,
                    fmt::format("no tile of {0} x {0} pixels with at least {1:.3g} % labelled pixels lies "
                                "wholly inside a split.",
                                config.grid.tile, 100 * config.grid.min_valid),
                    "Use smaller tiles, a smaller buffer or a lower grid.min_valid, and check [split].");
    }
    check_no_shared_ground(manifest);
    for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
        for (std::size_t b = 0; b < manifest.modalities[m].statistics.size(); ++b) {
            Moments all;
            for (const SceneRecord& scene : manifest.scenes) all.merge(scene.training[m][b]);
            if (all.count > 0)
                manifest.modalities[m].statistics[b] = {all.count, all.mean, all.standard_deviation(),
                                                        all.minimum, all.maximum};
        }
    }
    for_scenes(ranks, 1, [&](std::size_t) {
        write_manifest(folder, manifest);
        remove_unreferenced(folder, manifest);
        report_splits(manifest);
        return Json(true);
    });
    return report;
}

}  // namespace terrane::tiles
