#include <nlohmann/json.hpp>

#include "bench/io.hpp"

namespace terrane::bench {

namespace {

nlohmann::json speed(const RankSpeed& speed) {
    return {{"per_rank", speed.least}, {"per_rank_median", speed.median}, {"all_ranks", speed.sum}};
}

}  // namespace

std::string io_json(const IoResult& result, int ranks, const std::string& store, const std::string& command) {
    nlohmann::json json;
    json["bench"] = "io";
    json["command"] = command;
    json["ranks"] = ranks;
    json["store"] = store;
    for (const TileReading& row : result.tile_reading) {
        json["tile_reading"].push_back(
            {{"tile", row.edge},
             {"tiles_per_rank", row.tiles},
             {"tile_bytes", row.tile_bytes},
             {"threads_per_rank", row.readers},
             {"bytes_per_second", speed(row.bytes_per_second)},
             {"memory_copy_bytes_per_second", speed(row.copied_per_second)},
             {"percent_of_memory_copy", 100 * row.bytes_per_second.least / row.copied_per_second.least}});
    }
    for (const Feeding& row : result.feeding) {
        json["feeding"].push_back({{"crop", row.edge},
                                   {"batch", row.batch},
                                   {"tiles_per_second", speed(row.tiles_per_second)},
                                   {"step_seconds", row.step_seconds},
                                   {"io_wait", row.io_wait}});
    }
    for (const RasterReading& row : result.raster_reading) {
        json["raster_reading"].push_back({{"modality", row.modality},
                                          {"window", row.window},
                                          {"scale", row.scale},
                                          {"pixels_per_second", speed(row.pixels_per_second)},
                                          {"bytes_per_second", speed(row.bytes_per_second)}});
    }
    const MapWriting& map = result.map_writing;
    json["map_writing"] = {{"edge", map.edge},
                           {"part_pixels_per_second", speed(map.part_pixels_per_second)},
                           {"assembling_pixels_per_second", map.assembling_pixels_per_second},
                           {"pixels_per_second", map.pixels_per_second}};
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace terrane::bench
