#include <fmt/format.h>

#include "app/output.hpp"
#include "app/verb.hpp"
#include "raster/aligned_scene.hpp"
#include "raster/describe.hpp"

namespace terrane::app {

namespace {

std::string raster_text(const std::filesystem::path& file, bool statistics) {
    const raster::RasterInfo info = raster::describe(file);
    std::string text = fmt::format("{}\n  {}  {}", file.string(), info.driver, info.grid.text());
    text += fmt::format("  blocks {} x {}{}{}\n", info.block_width, info.block_height,
                        info.compression.empty() ? "" : "  " + info.compression,
                        info.overviews > 0 ? fmt::format("  {} overviews", info.overviews) : "");
    if (info.grid.crs.empty())
        text +=
            "  no CRS: set crs = \"EPSG:…\" where it is used, or crs = \"pixels\" for pictures without a "
            "place\n";
    if (!info.has_transform) {
        text += "  no geotransform: its place is unknown\n";
    } else {
        text += fmt::format("  bounds {}", info.grid.bounds().text());
        if (!info.grid.crs.empty()) {
            const double metres = raster::metres_per_unit(info.grid.crs);
            text += metres == 1  ? " metres"
                    : metres > 0 ? fmt::format(" units of {:.6g} m", metres)
                                 : " degrees";
        }
        text += "\n";
    }
    std::vector<raster::BandStatistics> sampled;
    if (statistics) sampled = raster::sample_statistics(file);
    for (std::size_t b = 0; b < info.bands.size(); ++b) {
        const raster::BandInfo& band = info.bands[b];
        text +=
            fmt::format("  band {:<3} {:<8} {:<9} nodata {:<8} {}\n", b + 1, band.type, band.interpretation,
                        band.nodata ? fmt::format("{:g}", *band.nodata) : "none", band.name);
        if (statistics) {
            const raster::BandStatistics& found = sampled[b];
            text += fmt::format(
                "           min {:.6g}  max {:.6g}  mean {:.6g}  std {:.6g}  nodata {:.1f} %  NaN {}\n",
                found.minimum, found.maximum, found.mean, found.standard_deviation,
                100.0 * static_cast<double>(found.nodata) / static_cast<double>(found.sampled),
                found.non_finite);
        }
    }
    if (info.dataset_mask) text += "  a mask or alpha band says which pixels are valid\n";
    if (!info.palette.empty()) text += fmt::format("  colour table of {} entries\n", info.palette.size());
    return text;
}

ExitCode run_data_info(Invocation& invocation) {
    const bool statistics = !invocation.has("fast");
    for (const std::string& file : invocation.positional()) print_text(raster_text(file, statistics));
    const config::Config& config = invocation.config();
    if (config.modalities.empty()) {
        if (invocation.positional().empty()) {
            throw Error(ExitCode::usage, 105, "data info needs raster files or a configuration.",
                        "Give FILE or -c CONFIG.");
        }
        return ExitCode::done;
    }
    for (const raster::SceneFiles& files : raster::find_scenes(config, raster::LabelUse::used)) {
        const raster::AlignedScene scene(config, files, raster::LabelUse::used);
        print_text(fmt::format("scene {}: reference grid {}\n", files.id, scene.grid().text()));
        for (std::size_t m = 0; m < scene.modalities(); ++m) {
            print_text(fmt::format("  modality {}: {} band(s) of {}, scale {}\n", config.modalities[m].name,
                                   scene.modality(m).bands(), name_of(scene.modality(m).dtype()),
                                   scene.scale(m)));
            for (const auto& file : files.modalities[m]) print_text(raster_text(file, statistics));
        }
        for (const auto& file : files.label) print_text("  label\n" + raster_text(file, statistics));
        for (const auto& file : files.scribble) print_text("  scribbles\n" + raster_text(file, statistics));
        for (const auto& file : files.pseudo) print_text("  pseudo-labels\n" + raster_text(file, statistics));
    }
    return ExitCode::done;
}

}  // namespace

extern const Verb data_info_verb{
    "data info",
    "describe rasters, or all rasters of a configuration and their reference grid",
    Ranks::local,
    ConfigNeed::optional,
    "FILE",
    {{"fast", Argument::none, "", "do not read pixels: no minimum, maximum and mean", '\0', "", false}},
    run_data_info};

}  // namespace terrane::app
