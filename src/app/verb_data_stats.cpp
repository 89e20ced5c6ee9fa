#include <fmt/format.h>

#include <numeric>

#include "app/data_ranks.hpp"
#include "app/output.hpp"
#include "tiles/store.hpp"

namespace terrane::app {

namespace {

ExitCode run_data_stats(Invocation& invocation) {
    const tiles::TileStore store(tiles_folder(invocation));
    const tiles::Manifest& manifest = store.manifest();
    std::string text = fmt::format("{} ({}): {} scenes, {} tiles of {} x {}\n\n{:<20}",
                                   store.folder().string(), store.identity(), manifest.scenes.size(),
                                   store.size(), manifest.tile, manifest.tile, "labelled pixels");
    std::array<std::vector<std::int64_t>, 3> pixels;
    std::array<double, 3> total{};
    for (const tiles::Split split : tiles::all_splits) {
        const auto s = static_cast<std::size_t>(split);
        pixels[s] = store.class_pixels(split);
        total[s] = static_cast<double>(std::accumulate(pixels[s].begin(), pixels[s].end(), std::int64_t{0}));
        text += fmt::format("{:>13} {:>7}", tiles::name_of(split),
                            fmt::format("({})", store.tiles_of(split).size()));
    }
    text += "\n";
    for (std::size_t c = 0; c < manifest.classes.size(); ++c) {
        text += fmt::format("{:<20}", fmt::format("{} {}", manifest.classes[c].id, manifest.classes[c].name));
        for (std::size_t s = 0; s < 3; ++s) {
            text += pixels[s][c] == 0 ? fmt::format("{:>13} {:>7}", "absent", "")
                                      : fmt::format("{:>13} {:>5.1f} %", pixels[s][c],
                                                    100.0 * static_cast<double>(pixels[s][c]) / total[s]);
        }
        text += "\n";
    }
    text += fmt::format("\n{:<32} {:>12} {:>12} {:>12} {:>12}   training tiles, valid pixels\n", "band",
                        "mean", "std", "min", "max");
    for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
        const tiles::StoredModality& modality = manifest.modalities[m];
        for (std::size_t b = 0; b < modality.band_names.size(); ++b) {
            const tiles::BandStatistics& band = modality.statistics[b];
            text += fmt::format("{:<32} {:>12.6g} {:>12.6g} {:>12.6g} {:>12.6g}\n",
                                modality.name + " " + modality.band_names[b], band.mean,
                                band.standard_deviation, band.minimum, band.maximum);
        }
        std::int64_t valid = 0, non_finite = 0;
        for (const tiles::TileRecord& tile : manifest.tiles) {
            valid += tile.modalities[m].valid;
            non_finite += tile.modalities[m].non_finite;
        }
        const std::int64_t edge = manifest.tile / modality.scale;
        text += fmt::format("{:<32} {}, scale {}, {:.2f} % of the pixels valid, {} NaN or infinite\n",
                            modality.name, name_of(modality.dtype), modality.scale,
                            100.0 * static_cast<double>(valid) /
                                static_cast<double>(std::max<std::int64_t>(1, store.size() * edge * edge)),
                            non_finite);
    }
    print_text(text);
    return ExitCode::done;
}

}  // namespace

extern const Verb data_stats_verb{"data stats",
                                  "class pixels of every split and band statistics of a tile store",
                                  Ranks::local,
                                  ConfigNeed::optional,
                                  "",
                                  {},
                                  run_data_stats};

}  // namespace terrane::app
