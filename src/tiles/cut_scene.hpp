#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "raster/aligned_scene.hpp"
#include "tiles/label_coding.hpp"
#include "tiles/manifest.hpp"
#include "tiles/split_plan.hpp"

namespace terrane::tiles {

/// Adds the labelled pixels of a scene to its blocks, reading the label once, block by block.
void count_labels(raster::AlignedScene& scene, const LabelCoding& coding, std::vector<Block*>& blocks);

/// Cuts the tiles of a scene and publishes its two files, <folder>/scenes/<record.stem>.{h5,json}. `record`
/// comes with id, stem, fingerprint, grid and sources, and is completed; returns the tiles. Errors: E0210 a
/// modality without any valid pixel, those of reading and E0420 of writing.
std::vector<TileRecord> cut_scene(const config::Config& config, const Manifest& layout,
                                  raster::AlignedScene& scene, const LabelCoding& coding,
                                  const ScenePlan& plan, const std::filesystem::path& folder,
                                  SceneRecord& record);

}  // namespace terrane::tiles
