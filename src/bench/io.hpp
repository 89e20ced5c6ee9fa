#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/config.hpp"
#include "device/backend.hpp"
#include "raster/scene_files.hpp"
#include "tiles/store.hpp"

namespace terrane::bench {

/// How the input and output of a run are measured. All ranks work at the same time.
struct IoOptions {
    std::vector<int> readers{1};   ///< reading threads per rank, one measurement each
    double seconds = 1;            ///< least time of each measurement
    int repetitions = 5;           ///< a measurement is cut into so many parts; the best and the median count
    std::int64_t batch = 8;        ///< samples per rank that the feeder assembles at a time
    double step_seconds = 0.1;     ///< how long a simulated training step keeps the feeder's consumer busy
    std::int64_t map_edge = 4096;  ///< of the map that is written
};

/// A speed of all ranks at the same time.
struct RankSpeed {
    double least = 0;   ///< of the slowest rank, its best repetition
    double median = 0;  ///< of the slowest rank, its median repetition
    double sum = 0;     ///< of all ranks' best
};

/// Tiles read and verified from the page cache.
struct TileReading {
    std::int64_t edge = 0;
    std::int64_t tiles = 0;  ///< per rank
    std::size_t tile_bytes = 0;
    int readers = 1;  ///< threads per rank
    RankSpeed bytes_per_second;
    RankSpeed copied_per_second;  ///< bytes of the same tiles copied within memory by as many threads
};

/// Batches assembled for the network by data::Feeder.
struct Feeding {
    std::int64_t edge = 0;
    std::int64_t batch = 0;
    RankSpeed tiles_per_second;  ///< the consumer takes a batch as soon as there is one
    double step_seconds = 0;
    double io_wait = 0;  ///< part of the time that a consumer waits which computes step_seconds per batch
};

/// Windows of one modality brought onto the reference grid, files in the page cache.
struct RasterReading {
    std::string modality;
    std::int64_t window = 0;  ///< edge in reference pixels
    std::int64_t scale = 1;
    RankSpeed pixels_per_second;  ///< of the modality
    RankSpeed bytes_per_second;   ///< of its values in memory
};

/// A class map written as predict writes it: parts by all ranks, put together by the first.
struct MapWriting {
    std::int64_t edge = 0;
    RankSpeed part_pixels_per_second;
    double assembling_pixels_per_second = 0;
    double pixels_per_second = 0;  ///< from the first row to the published file
};

TileReading measure_tile_reading(const tiles::TileStore& store, int readers, const IoOptions& options,
                                 comm::Communicator& communicator);
/// Takes the training tiles of the store with the augmentation of the configuration.
Feeding measure_feeding(const tiles::TileStore& store, const config::Config& config, const IoOptions& options,
                        device::Backend& backend, comm::Communicator& communicator);
std::vector<RasterReading> measure_raster_reading(const config::Config& config,
                                                  const raster::SceneFiles& files, const IoOptions& options,
                                                  comm::Communicator& communicator);
/// Writes below `folder`, which exists, and removes what it wrote.
MapWriting measure_map_writing(const config::Config& config, const std::filesystem::path& folder,
                               const IoOptions& options, comm::Communicator& communicator);

struct IoResult {
    std::vector<TileReading> tile_reading;
    std::vector<Feeding> feeding;
    std::vector<RasterReading> raster_reading;
    MapWriting map_writing;
};

std::string io_json(const IoResult& result, int ranks, const std::string& store, const std::string& command);

}  // namespace terrane::bench
