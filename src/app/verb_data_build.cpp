#include <fmt/format.h>

#include <chrono>

#include "app/data_ranks.hpp"
#include "app/output.hpp"
#include "tiles/store.hpp"

namespace terrane::app {

namespace {

ExitCode run_data_build(Invocation& invocation) {
    const std::string folder = tiles_folder(invocation);
    const config::Config& config = invocation.config();
    const auto start = std::chrono::steady_clock::now();
    const tiles::BuildReport report =
        tiles::build(config, folder, data_ranks(invocation),
                     config.runtime.overwrite ? tiles::Rebuild::everything : tiles::Rebuild::changed);
    if (invocation.world().rank() != 0) return ExitCode::done;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const tiles::TileStore store(folder);
    std::string modalities;
    for (const tiles::StoredModality& modality : store.manifest().modalities) {
        modalities += fmt::format(" {}[{}]", modality.name, modality.bands);
    }
    std::string text =
        report.up_to_date
            ? fmt::format("{} ({}) is up to date: {} scene{}\n", folder, store.identity(), report.scenes,
                          report.scenes == 1 ? "" : "s")
            : fmt::format("{} ({}): {} scene{} built, {} kept, {:.1f} s\n", folder, store.identity(),
                          report.built, report.built == 1 ? "" : "s", report.reused, seconds);
    if (report.without_label > 0)
        text += fmt::format("{} scenes without a label are left out\n", report.without_label);
    text += fmt::format("train {} / val {} / test {} tiles {}²{}\n",
                        store.tiles_of(tiles::Split::train).size(), store.tiles_of(tiles::Split::val).size(),
                        store.tiles_of(tiles::Split::test).size(), store.manifest().tile, modalities);
    print_text(text);
    return ExitCode::done;
}

}  // namespace

extern const Verb data_build_verb{"data build",
                                  "align, tile, split and store the rasters of a configuration",
                                  Ranks::all,
                                  ConfigNeed::required,
                                  "",
                                  {},
                                  run_data_build};

}  // namespace terrane::app
