#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "synth/material.hpp"

namespace terrane::synth {

inline constexpr std::int64_t smallest_scene = 256;
inline constexpr std::int64_t largest_scene = 100000;

enum class LabelFiles { index, index_and_rgb };
enum class WeakLabels { no, yes };
enum class ExistingScene { keep, replace };

struct SceneOptions {
    std::int64_t size = 2048;  ///< edge of the optical raster in pixels of 0.5 m
    std::uint64_t seed = 0;
    LabelFiles labels = LabelFiles::index;
    WeakLabels weak_labels = WeakLabels::no;  ///< scribbles.tif, pseudo_labels.tif and weak.toml
    ExistingScene existing = ExistingScene::keep;
    std::int64_t stripe_rows = 512;  ///< rows in memory at a time; changes no byte of the result
};

struct SceneSummary {
    std::int64_t optical_pixels = 0;
    std::int64_t unlabelled = 0;
    std::array<std::int64_t, land_cover_count> pixels{};  ///< by class
};

/// Called after every stripe with the file being written and its finished share.
using SceneProgress = std::function<void(std::string_view file, double share)>;

/// Writes optical.tif, labels.tif (and labels_rgb.tif), height.tif, sar.tif (and scribbles.tif,
/// pseudo_labels.tif, weak.toml) and, last, scene.toml into `folder`, which is created. Every file is published by rename. Memory: one stripe of each raster and one
/// block per thread, whatever the size. The bytes of the pixels depend on size and seed only.
///
/// Errors: E0103 (2) size out of [256, 100000]; E0901 (73) the folder can't be created or already holds a
/// scene and `existing` is keep; E0903 (73, 74) from the raster writer.
SceneSummary write_scene(const std::filesystem::path& folder, const SceneOptions& options,
                         const SceneProgress& progress = {});

/// The text of weak.toml: where scribbles and pseudo-labels lie, to be given after scene.toml.
std::string weak_configuration();

/// The text of scene.toml: a complete configuration, ready to train.
std::string scene_configuration(const SceneOptions& options);

}  // namespace terrane::synth
