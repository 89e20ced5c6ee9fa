#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace terrane::raster {

/// The files of one scene.
struct SceneFiles {
    std::string id;
    std::vector<std::vector<std::filesystem::path>> modalities;  ///< in the order of config.modalities
    std::vector<std::filesystem::path> label;                    ///< empty: this scene has no truth
    std::vector<std::filesystem::path> scribble{};               ///< empty: no scribbles
    std::vector<std::filesystem::path> pseudo{};                 ///< empty: no pseudo-labels

    bool has_classes() const { return !label.empty() || !scribble.empty() || !pseudo.empty(); }
};

/// Whether [label], [scribble] and [pseudo] are looked at. Ignored, its files are still found if it is the
/// reference grid and they are there.
enum class LabelUse { ignored, used };

/// Expands the file patterns of a configuration and groups them into scenes, sorted by id.
///
/// If every modality (and the label, the scribbles, the pseudo-labels) has exactly one file they make one scene, called like the file of the
/// reference. Otherwise a file's scene are the groups of `scene`, joined by _ (the whole match if it has none), in its
/// path, or its stem; files of one modality with the same id are mosaicked. Errors: E0201 a pattern matches
/// nothing, E0312 a scene lacks a modality, or a label or file belongs to no scene; E0502 a bad regular
/// expression.
std::vector<SceneFiles> find_scenes(const config::Config& config, LabelUse label_use);

/// A path of the configuration: absolute as it is, otherwise below the configuration's folder.
std::filesystem::path resolve(const config::Config& config, const std::string& path);

}  // namespace terrane::raster
