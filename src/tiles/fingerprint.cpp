#include "tiles/fingerprint.hpp"

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "config/weak_maps.hpp"

namespace terrane::tiles {

std::string data_fingerprint(const config::Config& config) {
    using Json = nlohmann::ordered_json;
    Json json;
    json["rules"] = 2;  // of cutting; a store cut by older rules is rebuilt
    const config::Grid& grid = config.grid;
    json["grid"] = {grid.reference, grid.crs,    grid.resolution, grid.extent,
                    grid.tile,      grid.stride, grid.min_valid};
    if (grid.scoring != "once") json["scoring"] = grid.scoring;  // stores from before this key stay valid
    const auto optional = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
    for (const config::Modality& m : config.modalities) {
        json["modality"].push_back({m.name, m.scene, m.bands, m.resampling, m.scale, optional(m.nodata),
                                    m.nodata_also, m.crs, m.multiply, m.add, optional(m.clip_low),
                                    optional(m.clip_high), m.relative});
    }
    const config::Label& label = config.label;
    json["label"] = {label.scene, label.encoding, label.ignore, label.undefined, label.crs};
    for (const auto& [from, to] : label.remap) json["remap"].push_back({from, to});
    for (const config::Class& c : config.classes) json["class"].push_back({c.id, c.name, c.color});
    for (const config::WeakLabel* weak : {&config.scribble, &config.pseudo}) {
        if (weak->files.empty()) continue;
        json["weak"].push_back({weak == &config.scribble ? "scribble" : "pseudo", weak->scene, weak->lambda});
        json["background"] = config::background_index(config.classes);
    }
    const config::Split& split = config.split;
    json["split"] = {split.method, split.block, split.buffer, split.fractions};
    for (const auto& [expression, name] : split.files) json["split_files"].push_back({expression, name});
    for (const config::SplitRegion& region : split.regions)
        json["regions"].push_back({region.split, region.bounds});
    return sha256(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace terrane::tiles
