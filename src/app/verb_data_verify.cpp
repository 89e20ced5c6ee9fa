#include <fmt/format.h>

#include <chrono>

#include "app/data_ranks.hpp"
#include "app/output.hpp"
#include "tiles/verify.hpp"

namespace terrane::app {

namespace {

ExitCode run_data_verify(Invocation& invocation) {
    const tiles::TileStore store(tiles_folder(invocation));
    if (!invocation.config().modalities.empty()) store.require(invocation.config());
    const auto start = std::chrono::steady_clock::now();
    const tiles::VerifyReport report = tiles::verify(store, data_ranks(invocation));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (invocation.world().rank() == 0) {
        for (const std::string& problem : report.problems) print_line(problem);
        const double gigabytes = static_cast<double>(report.bytes) * 1e-9;
        print_line(fmt::format("{} ({}): {} tiles, {:.3f} GB read and checked in {:.2f} s, {} problem{}",
                               store.folder().string(), store.identity(), report.tiles, gigabytes, seconds,
                               report.problems.size(), report.problems.size() == 1 ? "" : "s"));
    }
    return report.problems.empty() ? ExitCode::done : ExitCode::data_invalid;
}

}  // namespace

extern const Verb data_verify_verb{
    "data verify",
    "read every tile of a store and check its hashes, its structure and its sources",
    Ranks::all,
    ConfigNeed::optional,
    "",
    {},
    run_data_verify};

}  // namespace terrane::app
