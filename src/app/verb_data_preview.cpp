#include <fmt/format.h>

#include "app/data_ranks.hpp"
#include "app/output.hpp"
#include "tiles/preview.hpp"

namespace terrane::app {

namespace {

ExitCode run_data_preview(Invocation& invocation) {
    const tiles::TileStore store(invocation.config().data.tiles);
    std::optional<tiles::Split> split;
    if (invocation.has("split")) split = tiles::split_from_name(invocation.text("split"), "--split");
    const std::string& out = invocation.config().runtime.out;
    const std::string path = out.empty() ? "preview.png" : out;
    tiles::write_preview(store, split, invocation.integer("count", 8), path);
    print_line(fmt::format("{}: one row per tile: {} modalities (invalid pixels violet), then the labels",
                           path, store.manifest().modalities.size()));
    return ExitCode::done;
}

}  // namespace

extern const Verb data_preview_verb{
    "data preview",
    "write a PNG mosaic of some tiles: every modality, masks and labels (-o FILE)",
    Ranks::local,
    ConfigNeed::optional,
    "",
    {{"split", Argument::one, "NAME", "train, val or test; default: all", '\0', "", false},
     {"count", Argument::one, "N", "number of tiles (default 8)", '\0', "", false}},
    run_data_preview};

}  // namespace terrane::app
