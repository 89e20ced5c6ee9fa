#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "raster/scene_files.hpp"

namespace terrane::predict {

/// What the command line says about a configuration's rasters.
struct SceneRequest {
    std::vector<std::string>
        replacements;                  ///< "name=path": the files of a modality; several of one name add up
    std::vector<std::string> without;  ///< names of modalities to withhold
    bool missing_allowed =
        false;  ///< a modality whose files are absent is withheld: the network learned that
};

/// The scenes to predict.
struct SceneChoice {
    config::Config config;  ///< with the modalities that are left and their files
    std::vector<raster::SceneFiles> scenes;
    std::vector<std::string> withheld;  ///< names of modalities
};

/// Applies a request to a configuration. Throws Error E0109 (2) for a malformed or unknown name, E0209 (65)
/// if the reference grid goes with a withheld modality, E0201 (66) for files that are missing.
SceneChoice choose_scenes(const config::Config& config, const SceneRequest& request);

/// The map of every scene: `out` itself for a single scene; otherwise, and if `out` is a folder, out/ID.tif,
/// or `out` with every "{scene}" replaced by the scene's id. A folder that does not exist is made later.
/// Throws Error E0105 (2) if `out` is empty, E0110 (2) if several scenes would get one name.
std::vector<std::filesystem::path> map_paths(const std::string& out,
                                             const std::vector<raster::SceneFiles>& scenes);

}  // namespace terrane::predict
