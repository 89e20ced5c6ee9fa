#include "raster/aligned_scene.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "raster/describe.hpp"
#include "raster/placement.hpp"

namespace terrane::raster {

namespace {

constexpr double largest_edge = 1e7;

[[noreturn]] void refuse_grid(const std::string& what, const std::string& fix) {
    throw Error(ExitCode::data_invalid, 209, what, fix);
}

/// Envelope of several rasters on the first one's lattice.
Grid mosaic_grid(const std::vector<std::filesystem::path>& files, const std::string& crs,
                 const std::string& table) {
    Grid grid;
    const std::vector<RasterInfo> placed = describe_placed(files, crs, table);
    for (std::size_t i = 0; i < placed.size(); ++i) {
        const RasterInfo& info = placed[i];
        if (i == 0) {
            grid = info.grid;
            continue;
        }
        if (!grid.north_up())
            refuse_grid(fmt::format("{} is turned, so no mosaic can be its reference.", files[0].string()),
                        "Set grid.crs and grid.resolution.");
        const Bounds all = grid.bounds();
        const Bounds more = transform_bounds(info.grid.bounds(), info.grid.crs, grid.crs);
        const auto& t = grid.transform;
        const double left = std::floor((std::min(all.west, more.west) - t[0]) / t[1] + 1e-6);
        const double top = std::floor((std::max(all.north, more.north) - t[3]) / t[5] + 1e-6);
        grid.width = std::llround(std::ceil((std::max(all.east, more.east) - t[0]) / t[1] - 1e-6) - left);
        grid.height = std::llround(std::ceil((std::min(all.south, more.south) - t[3]) / t[5] - 1e-6) - top);
        grid.transform[0] += left * t[1];
        grid.transform[3] += top * t[5];
    }
    return grid;
}

Bounds intersection(const Bounds& a, const Bounds& b) {
    return {std::max(a.west, b.west), std::max(a.south, b.south), std::min(a.east, b.east),
            std::min(a.north, b.north)};
}

}  // namespace

Source modality_source(const config::Modality& modality, const std::vector<std::filesystem::path>& files) {
    Source source;
    source.table = "[[modality]] " + modality.name;
    source.files = files;
    source.bands = modality.bands;
    source.resampling = resampling_from_name(modality.resampling);
    source.nodata = modality.nodata;
    source.nodata_also = modality.nodata_also;
    source.crs = modality.crs;
    source.scale = modality.scale;
    return source;
}

Source label_source(const config::Label& label, const std::vector<std::filesystem::path>& files,
                    const std::string& table) {
    Source source;
    source.table = table;
    source.files = files;
    source.crs = label.crs;
    if (label.encoding == "palette") {
        source.palette = Palette::expand;
    } else {
        source.bands = {1};
    }
    return source;
}

Grid reference_grid(const config::Config& config, const SceneFiles& files) {
    const config::Grid& wanted = config.grid;
    const std::vector<std::filesystem::path>* reference = nullptr;
    std::string table, crs;
    if (wanted.reference == "label" && !files.label.empty()) {
        reference = &files.label;
        table = "[label]";
        crs = config.label.crs;
    } else {
        for (std::size_t m = 0; m < config.modalities.size(); ++m) {
            if (config.modalities[m].name != wanted.reference && !(wanted.reference.empty() && m == 0))
                continue;
            reference = &files.modalities[m];
            table = "[[modality]] " + config.modalities[m].name;
            crs = config.modalities[m].crs;
        }
        if (reference == nullptr) {
            throw Error(ExitCode::config_invalid, 502,
                        fmt::format("grid.reference = '{}' is no [[modality]].", wanted.reference),
                        "Use a modality's name or \"label\".");
        }
    }
    Grid grid = mosaic_grid(*reference, crs, table);
    const std::string target_crs = wanted.crs.empty() ? grid.crs : parse_crs(wanted.crs, "grid.crs");
    const bool other_crs = !same_crs(target_crs, grid.crs);
    if ((other_crs || !grid.north_up()) && wanted.resolution <= 0) {
        refuse_grid(
            other_crs
                ? std::string(
                      "grid.crs differs from the reference's CRS, so its pixel size can't be taken over.")
                : fmt::format("{} is turned or mirrored, so it can't be the reference grid as it is.",
                              (*reference)[0].string()),
            "Set grid.resolution.");
    }
    if (wanted.resolution > 0) {
        Bounds area = transform_bounds(grid.bounds(), grid.crs, target_crs);
        const double step = wanted.resolution;
        if (!wanted.extent.empty()) {
            area = {wanted.extent[0], wanted.extent[1], wanted.extent[2], wanted.extent[3]};
        } else if (other_crs || !grid.north_up()) {
            // Round coordinates, so that scenes cut from one mosaic share their lattice.
            area = {std::floor(area.west / step) * step, std::floor(area.south / step) * step,
                    std::ceil(area.east / step) * step, std::ceil(area.north / step) * step};
        }
        const double width = std::floor((area.east - area.west) / step + 1e-6);
        const double height = std::floor((area.north - area.south) / step + 1e-6);
        if (!(width >= 1) || !(height >= 1) || width > largest_edge || height > largest_edge) {
            refuse_grid(fmt::format("a grid of {} with pixels of {} would have {:.0f} x {:.0f} pixels.",
                                    area.text(), step, width, height),
                        "Check grid.resolution and grid.extent: both are in units of the grid's CRS.");
        }
        return {target_crs,
                {area.west, step, 0, area.north, 0, -step},
                std::llround(width),
                std::llround(height)};
    }
    if (!wanted.extent.empty()) {
        const auto& t = grid.transform;
        const double left = std::round((wanted.extent[0] - t[0]) / t[1]);
        const double right = std::round((wanted.extent[2] - t[0]) / t[1]);
        const double top = std::round((wanted.extent[3] - t[3]) / t[5]);
        const double bottom = std::round((wanted.extent[1] - t[3]) / t[5]);
        if (!(right - left >= 1) || !(bottom - top >= 1) || right - left > largest_edge ||
            bottom - top > largest_edge) {
            refuse_grid(fmt::format("grid.extent gives {:.0f} x {:.0f} pixels.", right - left, bottom - top),
                        "It is [west, south, east, north] in units of the grid's CRS.");
        }
        grid.width = std::llround(right - left);
        grid.height = std::llround(bottom - top);
        grid.transform[0] += left * t[1];
        grid.transform[3] += top * t[5];
    }
    return grid;
}

AlignedScene::AlignedScene(const config::Config& config, const SceneFiles& files, LabelUse label_use)
    : id_(files.id), grid_(reference_grid(config, files)) {
    Bounds common = grid_.bounds();
    std::string so_far = "the reference grid";
    for (std::size_t m = 0; m < config.modalities.size(); ++m) {
        const config::Modality& modality = config.modalities[m];
        scales_.push_back(modality.scale);
        readers_.emplace_back(modality_source(modality, files.modalities[m]), grid_.coarser(modality.scale));
        const Bounds& own = readers_.back().bounds();
        if (!common.overlaps(own)) {
            throw Error(
                ExitCode::data_invalid, 208,
                fmt::format("scene '{}': {} of modality '{}' covers {}, which does not overlap {} {} ({}).",
                            id_, files.modalities[m][0].string(), modality.name, own.text(), so_far,
                            common.text(), crs_name(grid_.crs)),
                "Check the files and their CRS.");
        }
        common = intersection(common, own);
        so_far = "the part common to the modalities before it";
    }
    if (label_use == LabelUse::ignored) return;
    struct Known {
        ClassMap map;
        const std::vector<std::filesystem::path>& files;
        const char* table;
    };
    for (const Known& known : {Known{ClassMap::label, files.label, "[label]"},
                               Known{ClassMap::scribble, files.scribble, "[scribble]"},
                               Known{ClassMap::pseudo, files.pseudo, "[pseudo]"}}) {
        if (known.files.empty()) continue;
        auto& reader = class_maps_[static_cast<std::size_t>(known.map)];
        reader.emplace(label_source(config.label, known.files, known.table), grid_);
        if (!common.overlaps(reader->bounds())) {
            throw Error(ExitCode::data_invalid, 208,
                        fmt::format("scene '{}': {} of {} covers {}, which does not overlap the modalities' "
                                    "common part {} ({}).",
                                    id_, known.files[0].string(), known.table, reader->bounds().text(),
                                    common.text(), crs_name(grid_.crs)),
                        "Check the files and their CRS.");
        }
    }
}

AlignedReader::Counts AlignedScene::read(std::size_t index, const Window& window, std::span<std::byte> values,
                                         std::span<std::uint8_t> mask) {
    const std::int64_t scale = scales_[index];
    TERRANE_ASSERT(window.column % scale == 0 && window.row % scale == 0 && window.width % scale == 0 &&
                       window.height % scale == 0,
                   "{} is not a multiple of the scale {} of modality {}", window.text(), scale, index);
    return readers_[index].read(
        {window.column / scale, window.row / scale, window.width / scale, window.height / scale}, values,
        mask);
}

}  // namespace terrane::raster
