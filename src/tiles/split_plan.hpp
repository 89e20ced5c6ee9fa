#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "raster/area.hpp"
#include "raster/grid.hpp"
#include "tiles/manifest.hpp"

namespace terrane::tiles {

/// A window of a scene that tiles of one split are cut from.
struct SplitPart {
    Split split = Split::train;
    std::int64_t block = 0;
    raster::Window window;
};

/// Where the tiles of one scene may lie.
struct ScenePlan {
    std::vector<SplitPart> parts;
    /// Exact areas of the splits in CRS units, if tiles must be tested against them (regions, polygons).
    std::map<Split, raster::Area> areas;
    double buffer = 0;
};

/// One block of the "blocks" method and what it holds.
struct Block {
    std::size_t scene = 0;
    std::int64_t index = 0;  ///< in its scene
    raster::Window window;
    std::vector<std::int64_t> class_pixels;
    std::optional<Split> split;  ///< none: it holds no labelled pixel
};

/// Least common multiple of the modalities' scales: tiles begin at its multiples, so that every modality is
/// cut between its pixels. Throws Error E0502 if it does not divide tile and stride.
std::int64_t tile_alignment(const config::Config& config);

/// Pixels that `split.buffer` is wide, on a grid.
std::int64_t buffer_pixels(const config::Config& config, const raster::Grid& grid);

/// Cuts scenes into blocks of about split.block tiles; smaller ones, down to one tile, if there would be
/// fewer than twelve. A function of the grids alone.
std::vector<Block> make_blocks(const config::Config& config, const std::vector<raster::Grid>& grids);

/// Gives every block with labelled pixels a split: the best of many draws with a fixed seed, where the best
/// has all classes in train, then as many as possible in val and test, and shares of pixels and classes near
/// split.fractions. A function of its arguments alone.
void assign_blocks(const config::Config& config, std::vector<Block>& blocks);

/// The plan of a scene. `blocks` are all blocks of the store, assigned; empty for the other methods. Errors:
/// E0301 splits whose areas overlap; E0302, E0305 a scene or area that belongs to no split; E0306 unreadable
/// polygons.
ScenePlan plan_scene(const config::Config& config, std::size_t scene, const std::string& id,
                     const raster::Grid& grid, const std::vector<Block>& blocks);

/// The windows of all tiles of a plan (not yet looked at their labels), with split and block: every
/// grid.stride in train, edge to edge in val and test, and one flush with the end of each part; where
/// grid.scoring = "windows", every grid.stride in val and test too, and none moved to the end. A window that
/// is not wholly inside its split and `buffer` away from the others is left out.
std::vector<SplitPart> tile_windows(const config::Config& config, const raster::Grid& grid,
                                    const ScenePlan& plan);

/// Throws Error E0301 if stored tiles of two splits share ground, naming them.
void check_no_shared_ground(const Manifest& manifest);

}  // namespace terrane::tiles
