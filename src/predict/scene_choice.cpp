#include "predict/scene_choice.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"

namespace terrane::predict {

namespace {

config::Modality& modality_called(config::Config& config, const std::string& name,
                                  const std::string& option) {
    for (config::Modality& modality : config.modalities) {
        if (modality.name == name) return modality;
    }
    std::string names;
    for (const config::Modality& modality : config.modalities)
        names += (names.empty() ? "" : ", ") + modality.name;
    throw Error(ExitCode::usage, 109,
                fmt::format("{} names the modality '{}', which is no [[modality]].", option, name),
                fmt::format("Use one of: {}.", names));
}

/// Returns the names of the modalities whose files were replaced.
std::set<std::string> replace_files(config::Config& config, const std::vector<std::string>& replacements) {
    std::set<std::string> replaced;
    for (const std::string& text : replacements) {
        const std::size_t equals = text.find('=');
        if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
            throw Error(ExitCode::usage, 109, fmt::format("-i {} is not understood.", text),
                        "Write -i NAME=PATH, e.g. -i optical=other/rgb.tif.");
        }
        config::Modality& modality = modality_called(config, text.substr(0, equals), "-i " + text);
        if (replaced.insert(modality.name).second) modality.files.clear();
        // On the command line a path starts at the working folder, not at the configuration's.
        modality.files.push_back(std::filesystem::absolute(text.substr(equals + 1)).string());
    }
    return replaced;
}

/// Whether none of a modality's files is there; patterns are left to those who expand them.
bool files_absent(const config::Config& config, const config::Modality& modality) {
    return std::ranges::none_of(modality.files, [&](const std::string& file) {
        return file.find_first_of("*?[") != std::string::npos ||
               std::filesystem::exists(raster::resolve(config, file));
    });
}

void keep_reference(config::Config& config, const std::string& reference) {
    const bool left =
        std::ranges::any_of(config.modalities, [&](const auto& m) { return m.name == reference; });
    if (left || reference == "label" || reference.empty()) return;
    if (config.grid.resolution > 0) {
        config.grid.reference = config.modalities.front().name;
        return;
    }
    throw Error(ExitCode::data_invalid, 209,
                fmt::format("the reference grid is that of modality '{}', which is withheld.", reference),
                "Name the pixel size the network was trained for: -s grid.resolution=… (and -s "
                "grid.reference=NAME).");
}

std::string file_name_of(const std::string& scene) {
    std::string name = scene;
    std::ranges::replace_if(
        name, [](char c) { return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 32; }, '_');
    return name.empty() || name.front() == '.' ? "_" + name : name;
}

}  // namespace

SceneChoice choose_scenes(const config::Config& config, const SceneRequest& request) {
    SceneChoice choice{config, {}, request.without};
    const std::set<std::string> replaced = replace_files(choice.config, request.replacements);
    for (const std::string& name : request.without) modality_called(choice.config, name, "--without " + name);
    if (request.missing_allowed) {
        for (const config::Modality& modality : choice.config.modalities) {
            // Files that were asked for by name must be there.
            if (!replaced.contains(modality.name) && files_absent(choice.config, modality))
                choice.withheld.push_back(modality.name);
        }
    }
    const std::string reference =
        config.grid.reference.empty() && config.grid.crs.empty() && !config.modalities.empty()
            ? config.modalities.front().name
            : config.grid.reference;
    std::erase_if(choice.config.modalities, [&](const config::Modality& modality) {
        return std::ranges::find(choice.withheld, modality.name) != choice.withheld.end();
    });
    std::ranges::sort(choice.withheld);
    choice.withheld.erase(std::unique(choice.withheld.begin(), choice.withheld.end()), choice.withheld.end());
    if (choice.config.modalities.empty()) {
        throw Error(ExitCode::input_missing, 201, "no modality is left to predict from.",
                    "Give the files of at least one modality with -i NAME=PATH.");
    }
    keep_reference(choice.config, reference);
    choice.scenes = raster::find_scenes(choice.config, choice.config.grid.reference == "label"
                                                           ? raster::LabelUse::used
                                                           : raster::LabelUse::ignored);
    return choice;
}

std::vector<std::filesystem::path> map_paths(const std::string& out,
                                             const std::vector<raster::SceneFiles>& scenes) {
    if (out.empty()) {
        throw Error(ExitCode::usage, 105, "predict needs the name of the map.", "Name it with -o map.tif.");
    }
    const std::string placeholder = "{scene}";
    const bool pattern = out.find(placeholder) != std::string::npos;
    const bool folder =
        !pattern && (scenes.size() > 1 || out.back() == '/' || std::filesystem::is_directory(out));
    std::vector<std::filesystem::path> paths;
    for (const raster::SceneFiles& scene : scenes) {
        const std::string name = file_name_of(scene.id);
        std::string path = folder ? (std::filesystem::path(out) / (name + ".tif")).string() : out;
        for (std::size_t at = path.find(placeholder); pattern && at != std::string::npos;
             at = path.find(placeholder, at + name.size())) {
            path.replace(at, placeholder.size(), name);
        }
        paths.emplace_back(path);
    }
    std::vector<std::filesystem::path> sorted = paths;
    std::ranges::sort(sorted);
    const auto twice = std::ranges::adjacent_find(sorted);
    if (twice != sorted.end()) {
        throw Error(ExitCode::usage, 110, fmt::format("two scenes would be written to {}.", twice->string()),
                    "Name a folder, or use {scene} in the name.");
    }
    if (folder && scenes.size() > 1 && (out.ends_with(".tif") || out.ends_with(".tiff"))) {
        throw Error(ExitCode::usage, 110,
                    fmt::format("{} scenes can't be written to one file {}.", scenes.size(), out),
                    "Name a folder with -o, or a pattern like maps/{scene}.tif.");
    }
    return paths;
}

}  // namespace terrane::predict
