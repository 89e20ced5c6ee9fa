#include "config/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include "base/error.hpp"
#include "config/convert.hpp"
#include "config/weak_maps.hpp"

namespace terrane::config {

namespace {

[[noreturn]] void contradiction(const Resolved& resolved, const std::string& key, const std::string& message,
                                const std::string& fix) {
    throw Error(ExitCode::config_invalid, 509, fmt::format("{}: {}", resolved.source_of(key), message), fix);
}

[[noreturn]] void missing(const std::string& message, const std::string& fix) {
    throw Error(ExitCode::config_invalid, 507, message, fix);
}

template <typename Entries, typename KeyOf>
void check_unique(const Resolved& resolved, const Entries& entries, const std::string& list,
                  const std::string& what, const KeyOf& key_of) {
    std::set<std::string> seen;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const std::string value = key_of(entries[i]);
        if (!seen.insert(value).second) {
            throw Error(ExitCode::config_invalid, 508,
                        fmt::format("{}: two entries of [[{}]] have the {} \"{}\".",
                                    resolved.source_of(fmt::format("{}[{}]", list, i)), list, what, value),
                        fmt::format("Give each its own {}.", what));
        }
    }
}

void check_regex(const Resolved& resolved, const std::string& key, const std::string& text) {
    try {
        std::regex pattern(text);
    } catch (const std::regex_error& reason) {
        contradiction(resolved, key,
                      fmt::format("{} = \"{}\" is not a regular expression: {}.", key, text, reason.what()),
                      "Use ECMAScript syntax; write it in single quotes so that TOML keeps the backslashes.");
    }
}

void check_bounds(const Resolved& resolved, const std::string& key, const std::vector<double>& bounds) {
    if (bounds.size() != 4 || !(bounds[0] < bounds[2]) || !(bounds[1] < bounds[3])) {
        contradiction(
            resolved, key,
            fmt::format("{} must be [west, south, east, north] with west < east and south < north.", key),
            "Correct the four numbers.");
    }
}

void check_modality_reference(const Resolved& resolved, const std::string& key, const std::string& name) {
    std::vector<std::string> names;
    for (const Modality& modality : resolved.config.modalities) names.push_back(modality.name);
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    std::string fix = did_you_mean(name, names);
    if (fix.empty()) fix = fmt::format("Modalities are: {}.", fmt::join(names, ", "));
    contradiction(resolved, key, fmt::format("{} names \"{}\", which is no [[modality]].", key, name), fix);
}

void check_grid(const Resolved& resolved) {
    const Grid& grid = resolved.config.grid;
    if (grid.stride > grid.tile) {
        contradiction(
            resolved, "grid.stride",
            fmt::format(
                "grid.stride = {} is larger than grid.tile = {}: the pixels between tiles would be lost.",
                grid.stride, grid.tile),
            fmt::format("Set grid.stride to at most {}.", grid.tile));
    }
    if (!grid.extent.empty()) check_bounds(resolved, "grid.extent", grid.extent);
    if (!grid.reference.empty() && grid.reference != "label")
        check_modality_reference(resolved, "grid.reference", grid.reference);
    if (!grid.crs.empty() && grid.reference.empty() && grid.resolution == 0) {
        contradiction(
            resolved, "grid.crs", "grid.crs is given without grid.resolution, so the pixel size is unknown.",
            "Set grid.resolution in units of that CRS, or grid.reference to a modality that has them.");
    }
}

void check_modalities(const Resolved& resolved) {
    const auto& modalities = resolved.config.modalities;
    check_unique(resolved, modalities, "modality", "name", [](const Modality& item) { return item.name; });
    for (std::size_t i = 0; i < modalities.size(); ++i) {
        const Modality& modality = modalities[i];
        const std::string key = fmt::format("modality[{}]", i);
        static const std::regex name_form("[A-Za-z0-9_-]{1,64}");
        if (!std::regex_match(modality.name, name_form)) {
            contradiction(resolved, key + ".name",
                          fmt::format("the modality name \"{}\" is not 1 to 64 letters, digits, '_' or '-'.",
                                      modality.name),
                          "Rename it: the name becomes part of dataset and parameter names.");
        }
        if (std::find(weak_map_names.begin(), weak_map_names.end(), modality.name) != weak_map_names.end()) {
            contradiction(resolved, key + ".name",
                          fmt::format("\"{}\" is the name of a map of weak supervision.", modality.name),
                          "Give the modality another name.");
        }
        if (!modality.scene.empty()) check_regex(resolved, key + ".scene", modality.scene);
        if (resolved.config.grid.tile % modality.scale != 0) {
            contradiction(resolved, resolved.sources.contains(key + ".scale") ? key + ".scale" : "grid.tile",
                          fmt::format("grid.tile = {} is not a multiple of scale = {} of the modality {}.",
                                      resolved.config.grid.tile, modality.scale, modality.name),
                          "A tile must hold whole pixels of every modality: change one of them.");
        }
        if (modality.clip_low && modality.clip_high && *modality.clip_low >= *modality.clip_high) {
            contradiction(resolved, key + ".clip_low",
                          fmt::format("clip_low = {} of the modality {} is not below clip_high = {}.",
                                      *modality.clip_low, modality.name, *modality.clip_high),
                          "Exchange them or drop one.");
        }
    }
}

void check_classes(const Resolved& resolved) {
    const auto& classes = resolved.config.classes;
    check_unique(resolved, classes, "class", "id",
                 [](const Class& item) { return fmt::format("{}", item.id); });
    check_unique(resolved, classes, "class", "name", [](const Class& item) { return item.name; });
    if (resolved.config.label.encoding == "palette") {
        check_unique(resolved, classes, "class", "color", [](const Class& item) {
            return fmt::format("[{}, {}, {}]", item.color[0], item.color[1], item.color[2]);
        });
    }
    if (!resolved.config.scribble.scene.empty())
        check_regex(resolved, "scribble.scene", resolved.config.scribble.scene);
    if (!resolved.config.pseudo.scene.empty())
        check_regex(resolved, "pseudo.scene", resolved.config.pseudo.scene);
    for (const std::int64_t ignored : resolved.config.label.ignore) {
        for (const Class& item : classes) {
            if (item.id == ignored && resolved.config.label.encoding == "index") {
                contradiction(
                    resolved, "label.ignore",
                    fmt::format("label.ignore contains {}, which is the id of class {}.", ignored, item.name),
                    "Drop one of them.");
            }
        }
    }
    for (const auto& [from, to] : resolved.config.label.remap) {
        const bool known = std::any_of(classes.begin(), classes.end(),
                                       [to = to](const Class& item) { return item.id == to; });
        const auto& ignore = resolved.config.label.ignore;
        if (!known && std::find(ignore.begin(), ignore.end(), to) == ignore.end()) {
            contradiction(
                resolved, "label.remap",
                fmt::format("label.remap sends {} to {}, which is no [[class]] id and not in label.ignore.",
                            from, to),
                "Map to an existing id.");
        }
    }
}

void check_split(const Resolved& resolved) {
    const Split& split = resolved.config.split;
    const double sum = split.fractions[0] + split.fractions[1] + split.fractions[2];
    if (std::abs(sum - 1) > 1e-6) {
        contradiction(resolved, "split.fractions",
                      fmt::format("split.fractions = [{}, {}, {}] sum to {}, not 1.", split.fractions[0],
                                  split.fractions[1], split.fractions[2], sum),
                      "Give the shares of train, val and test of the whole.");
    }
    if (split.method == "files" && split.files.empty()) {
        missing(fmt::format("{}: split.method = \"files\" needs split.files.",
                            resolved.source_of("split.method")),
                "Add files = {'regular expression on the scene id' = \"train\", ...}.");
    }
    if (split.method == "polygons" && split.polygons.empty()) {
        missing(fmt::format("{}: split.method = \"polygons\" needs split.polygons.",
                            resolved.source_of("split.method")),
                "Name a vector file whose features have a text field \"split\".");
    }
    if (split.method == "regions" && split.regions.empty()) {
        missing(fmt::format("{}: split.method = \"regions\" needs [[split.region]].",
                            resolved.source_of("split.method")),
                "Add [[split.region]] entries with split and bounds.");
    }
    for (const auto& [pattern, name] : split.files) check_regex(resolved, "split.files", pattern);
    for (std::size_t i = 0; i < split.regions.size(); ++i) {
        check_bounds(resolved, fmt::format("split.region[{}].bounds", i), split.regions[i].bounds);
    }
}

void check_loss(const Resolved& resolved) {
    const Config& config = resolved.config;
    check_unique(resolved, config.loss.terms, "loss.terms", "name and target", [](const LossTerm& term) {
        return term.name + (term.target == "label" ? "" : " on " + term.target);
    });
    for (std::size_t i = 0; i < config.loss.terms.size(); ++i) {
        const LossTerm& term = config.loss.terms[i];
        const std::string key = fmt::format("loss.terms[{}]", i);
        if (term.name == "distance_entropy" && term.target == "label") {
            contradiction(resolved, key + ".name", "labels have no distance map.",
                          "Set target = \"scribble\" or target = \"pseudo\".");
        }
        if (term.name == "rectification" && config.model.name != "res50_aspp_lorm") {
            contradiction(resolved, key + ".name",
                          fmt::format("model.name = \"{}\" has no layers for the term rectification.",
                                      config.model.name),
                          "Use model.name = \"res50_aspp_lorm\" or drop the term.");
        }
        if (term.target != "label" && config.model.name == "pkdiff") {
            contradiction(resolved, key + ".target", "pkdiff learns from labels only.",
                          "Use another network.");
        }
    }
    if (config.loss.normalise == "all" && looks_at_several_maps(config.loss)) {
        contradiction(
            resolved, "loss.normalise",
            "loss.normalise = \"all\" does not go with terms over several maps, of which each is a mean "
            "over its own pixels.",
            "Set loss.normalise = \"valid\".");
    }
    const auto backgrounds = std::count_if(config.classes.begin(), config.classes.end(),
                                           [](const Class& item) { return item.background; });
    if (backgrounds > 1) {
        contradiction(resolved, "class", fmt::format("{} classes have background = true.", backgrounds),
                      "Keep one.");
    }
}

void check_training(const Resolved& resolved) {
    const Config& config = resolved.config;
    if (config.augment.zoom[0] > config.augment.zoom[1]) {
        contradiction(resolved, "augment.zoom",
                      fmt::format("augment.zoom = [{}, {}] has its low end above its high end.",
                                  config.augment.zoom[0], config.augment.zoom[1]),
                      "Exchange them.");
    }
    if (config.augment.crop > config.grid.tile) {
        contradiction(resolved, "augment.crop",
                      fmt::format("augment.crop = {} is larger than grid.tile = {}.", config.augment.crop,
                                  config.grid.tile),
                      "Choose a crop that fits into a tile, or build larger tiles.");
    }
    if (!config.modalities.empty()) {
        for (const std::string& name : config.augment.photometric) {
            check_modality_reference(resolved, "augment.photometric", name);
        }
    }
    const std::int64_t output_stride = config.model.output_stride;
    if (output_stride != 0 && output_stride != 8 && output_stride != 16) {
        contradiction(resolved, "model.output_stride",
                      fmt::format("model.output_stride = {} is neither 8 nor 16.", output_stride),
                      "Use 16, or 8 for finer maps at about twice the cost, or 0 for the network's own.");
    }
    if (config.model.decoder_stride != 2 && config.model.decoder_stride != 4) {
        contradiction(
            resolved, "model.decoder_stride",
            fmt::format("model.decoder_stride = {} is neither 2 nor 4.", config.model.decoder_stride),
            "Use 2 for fine objects, 4 for less work.");
    }
    if (config.model.pyramid.bins.empty() || config.model.pyramid.rates.empty()) {
        contradiction(resolved, "model.pyramid", "model.pyramid.bins or model.pyramid.rates is empty.",
                      "Give at least one.");
    }
    if (config.model.aspp_rates.empty()) {
        contradiction(resolved, "model.aspp_rates", "model.aspp_rates is empty.",
                      "Give at least one dilation.");
    }
    if (config.loss.terms.empty())
        missing("[[loss.terms]] is empty, so there is nothing to minimise.", "Add a term.");
    check_loss(resolved);
    for (std::size_t i = 0; i < config.optim.groups.size(); ++i) {
        check_regex(resolved, fmt::format("optim.groups[{}].match", i), config.optim.groups[i].match);
    }
    if (config.optim.min_lr > config.optim.lr) {
        contradiction(
            resolved, "optim.min_lr",
            fmt::format("optim.min_lr = {} is above optim.lr = {}.", config.optim.min_lr, config.optim.lr),
            "Lower it.");
    }
    const auto& milestones = config.optim.milestones;
    if (!std::is_sorted(milestones.begin(), milestones.end())) {
        contradiction(resolved, "optim.milestones", "optim.milestones are not in ascending order.",
                      "Sort them.");
    }
    if (config.optim.schedule == "step" && milestones.empty()) {
        missing(fmt::format("{}: optim.schedule = \"step\" needs optim.milestones.",
                            resolved.source_of("optim.schedule")),
                "List the steps after which the rate falls.");
    }
    if (config.train.batch > config.train.global_batch) {
        contradiction(resolved, "train.batch",
                      fmt::format("train.batch = {} of one rank is larger than train.global_batch = {}.",
                                  config.train.batch, config.train.global_batch),
                      "global_batch counts the samples of all ranks and micro-steps together.");
    }
}

}  // namespace

void check(const Resolved& resolved, Completeness completeness) {
    const Config& config = resolved.config;
    if (completeness == Completeness::whole) {
        if (config.modalities.empty())
            missing("the configuration has no [[modality]].", "Describe at least one, with name and files.");
        for (std::size_t i = 0; i < config.modalities.size(); ++i) {
            if (config.modalities[i].files.empty()) {
                missing(fmt::format("{}: the modality {} has no files.",
                                    resolved.source_of(fmt::format("modality[{}]", i)),
                                    config.modalities[i].name),
                        "Add files = [\"path or glob\", ...].");
            }
        }
        if (config.classes.size() < 2) {
            missing(fmt::format("the configuration has {} [[class]] entries; at least 2 are needed.",
                                config.classes.size()),
                    "Describe each class with id, name and color.");
        }
    }
    check_modalities(resolved);
    check_grid(resolved);
    check_classes(resolved);
    check_split(resolved);
    check_training(resolved);
}

}  // namespace terrane::config
