#include "raster/scene_files.hpp"

#include <glob.h>

#include <map>
#include <regex>

#include "base/error.hpp"

namespace terrane::raster {

namespace {

std::vector<std::filesystem::path> expand(const config::Config& config,
                                          const std::vector<std::string>& patterns,
                                          const std::string& table) {
    if (patterns.empty()) {
        throw Error(ExitCode::config_invalid, 502, fmt::format("{} has no files.", table),
                    "Set files = [\"…\"].");
    }
    std::vector<std::filesystem::path> files;
    for (const std::string& pattern : patterns) {
        const std::filesystem::path path = resolve(config, pattern);
        if (std::filesystem::exists(path)) {  // before globbing, for names with brackets
            files.push_back(path);
            continue;
        }
        glob_t found{};
        const int failed = ::glob(path.c_str(), GLOB_ERR, nullptr, &found);
        for (std::size_t i = 0; failed == 0 && i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
        ::globfree(&found);
        if (failed != 0) {
            throw Error(ExitCode::input_missing, 201,
                        fmt::format("{} names {}, but there is no such file.", table, path.string()),
                        "Paths are relative to the configuration file.");
        }
    }
    return files;
}

std::string scene_of(const std::filesystem::path& file, const std::string& expression,
                     const std::string& table) {
    if (expression.empty()) return file.stem().string();
    try {
        std::smatch match;
        const std::string text = file.string();
        if (!std::regex_search(text, match, std::regex(expression))) {
            throw Error(ExitCode::data_invalid, 312,
                        fmt::format("{} does not match the expression '{}' of {}, so its scene is unknown.",
                                    text, expression, table));
        }
        if (match.size() == 1) return match[0].str();
        // Several groups make one name, so that parts that differ between products (zeros in front of a number) can
        // be left out between them.
        std::string scene = match[1].str();
        for (std::size_t group = 2; group < match.size(); ++group) scene += "_" + match[group].str();
        return scene;
    } catch (const std::regex_error& error) {
        throw Error(
            ExitCode::config_invalid, 502,
            fmt::format("{}: scene '{}' is no regular expression: {}.", table, expression, error.what()));
    }
}

}  // namespace

std::filesystem::path resolve(const config::Config& config, const std::string& path) {
    const std::filesystem::path given(path);
    return (given.is_absolute() || config.folder.empty() ? given
                                                         : std::filesystem::path(config.folder) / given)
        .lexically_normal();
}

std::vector<SceneFiles> find_scenes(const config::Config& config, LabelUse label_use) {
    if (config.modalities.empty()) {
        throw Error(ExitCode::config_invalid, 502, "the configuration has no modality.",
                    "Add a [[modality]] with name and files.");
    }
    std::vector<std::vector<std::filesystem::path>> files;
    bool single = true;
    for (const config::Modality& modality : config.modalities) {
        files.push_back(expand(config, modality.files, "[[modality]] " + modality.name));
        single = single && files.back().size() == 1;
    }
    std::vector<std::filesystem::path> labels;
    if (!config.label.files.empty() && label_use == LabelUse::used) {
        labels = expand(config, config.label.files, "[label]");
    } else if (!config.label.files.empty() && config.grid.reference == "label") {
        // Only its grid is wanted; a scene to be mapped may well have no truth.
        try {
            labels = expand(config, config.label.files, "[label]");
        } catch (const Error&) {
            labels.clear();
        }
    }
    const auto weak = [&](const config::WeakLabel& source, const std::string& table) {
        if (source.files.empty() || label_use == LabelUse::ignored)
            return std::vector<std::filesystem::path>{};
        return expand(config, source.files, table);
    };
    const auto scribbles = weak(config.scribble, "[scribble]"), pseudo = weak(config.pseudo, "[pseudo]");
    single = single && labels.size() <= 1 && scribbles.size() <= 1 && pseudo.size() <= 1;
    if (single) {
        SceneFiles scene{"", files, labels, scribbles, pseudo};
        std::size_t reference = 0;
        for (std::size_t m = 0; m < files.size(); ++m) {
            if (config.modalities[m].name == config.grid.reference) reference = m;
        }
        scene.id = config.grid.reference == "label" && !labels.empty() ? labels[0].stem().string()
                                                                       : files[reference][0].stem().string();
        return {scene};
    }
    std::map<std::string, SceneFiles> scenes;
    for (std::size_t m = 0; m < files.size(); ++m) {
        const config::Modality& modality = config.modalities[m];
        for (const auto& file : files[m]) {
            SceneFiles& scene = scenes[scene_of(file, modality.scene, "[[modality]] " + modality.name)];
            scene.modalities.resize(files.size());
            scene.modalities[m].push_back(file);
        }
    }
    const auto share_out = [&](const std::vector<std::filesystem::path>& all, const std::string& expression,
                               const std::string& table,
                               std::vector<std::filesystem::path> SceneFiles::*part) {
        for (const auto& file : all) {
            const std::string id = scene_of(file, expression, table);
            const auto scene = scenes.find(id);
            if (scene == scenes.end()) {
                throw Error(
                    ExitCode::data_invalid, 312,
                    fmt::format("{} of {} is of scene '{}', which has no modality.", file.string(), table,
                                id),
                    fmt::format(
                        "Set scene = '…(…)…' in {} and [[modality]] so that their groups agree.",
                        table));
            }
            (scene->second.*part).push_back(file);
        }
    };
    share_out(labels, config.label.scene, "[label]", &SceneFiles::label);
    share_out(scribbles, config.scribble.scene, "[scribble]", &SceneFiles::scribble);
    share_out(pseudo, config.pseudo.scene, "[pseudo]", &SceneFiles::pseudo);
    std::vector<SceneFiles> result;
    for (auto& [id, scene] : scenes) {
        scene.id = id;
        std::string first;
        for (const auto& of_modality : scene.modalities) {
            if (!of_modality.empty() && first.empty()) first = of_modality[0].string();
        }
        for (std::size_t m = 0; m < scene.modalities.size(); ++m) {
            if (scene.modalities[m].empty()) {
                throw Error(ExitCode::data_invalid, 312,
                            fmt::format("scene '{}' ({}) has no file of modality '{}'.", id, first,
                                        config.modalities[m].name),
                            "Add the file, or set scene = '…(…)…' so that the groups agree.");
            }
        }
        result.push_back(std::move(scene));
    }
    return result;
}

}  // namespace terrane::raster
