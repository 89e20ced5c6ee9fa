#pragma once

#include <filesystem>
#include <vector>

#include "comm/communicator.hpp"
#include "config/config.hpp"
#include "report/metrics.hpp"
#include "tiles/store.hpp"

/// Class maps compared with the truth. A map is a raster of [[class]].id, as terrane predict writes it and as
/// any other program may; 255 and its own nodata value mean no prediction.
namespace terrane::predict {

/// A map and the label rasters that it is compared with.
struct MapToScore {
    std::filesystem::path map;
    std::vector<std::filesystem::path> truth;  ///< mosaicked; empty: the labels of the tile store
};

/// What comparing found, the same on every rank.
struct MapScores {
    report::ConfusionMatrix confusion;
    std::int64_t unpredicted = 0;  ///< labelled pixels for which a map says nothing; not in the matrix
    std::int64_t tiles = 0;        ///< of score_map_tiles
};

/// Finds the label rasters of maps: `truth` if given, the same for all; otherwise those of [label], of the
/// scene that the map's name without ending names, or of the only scene. Throws Error E0312 for a map of no
/// scene, E0507 without any truth.
std::vector<MapToScore> pair_with_truth(const config::Config& config,
                                        const std::vector<std::filesystem::path>& maps,
                                        const std::vector<std::filesystem::path>& truth);

/// Compares every pixel of every map with the label at its centre. Collective: the ranks share the rows; the
/// counts do not depend on their number. Throws Error E0208 if map and truth do not overlap, E0311 for labels
/// of no class, E0321 if a map holds something else than class ids, and those of reading rasters.
MapScores score_maps(const config::Config& config, const std::vector<MapToScore>& maps,
                     comm::Communicator& communicator);

/// Compares maps with the truth on the tiles of one split: the pixels that `terrane evaluate --weights`
/// scores. Without `truth` the labels stored with the tiles count. Throws also E0322 if a map is not on the
/// grid of exactly one scene of the store, E0514 if those scenes have no tile of the split.
MapScores score_map_tiles(const config::Config& config, const tiles::TileStore& store, tiles::Split split,
                          const std::vector<MapToScore>& maps, comm::Communicator& communicator);

}  // namespace terrane::predict
