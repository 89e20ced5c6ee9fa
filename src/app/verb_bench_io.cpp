#include <algorithm>
#include <charconv>

#include "app/backend_choice.hpp"
#include "app/data_ranks.hpp"
#include "app/output.hpp"
#include "app/scratch_folder.hpp"
#include "app/verb.hpp"
#include "bench/io.hpp"
#include "synth/scene_writer.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

std::vector<int> readers_of(const Invocation& invocation) {
    if (!invocation.has("readers")) {
        std::vector<int> readers{1};
        if (invocation.cores().threads > 1) readers.push_back(invocation.cores().threads);
        return readers;
    }
    std::vector<int> readers;
    for (const std::string& text : invocation.list("readers")) {
        int count = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (failed != std::errc{} || end != text.data() + text.size() || count < 1 || count > 256) {
            throw Error(ExitCode::usage, 103, fmt::format("--readers {} is no number from 1 to 256.", text),
                        "For example --readers 1 --readers 4.");
        }
        readers.push_back(count);
    }
    return readers;
}

bench::IoOptions options_of(const Invocation& invocation) {
    bench::IoOptions options;
    options.readers = readers_of(invocation);
    options.seconds = invocation.real("seconds", options.seconds);
    options.batch = invocation.integer("batch", options.batch);
    options.step_seconds = invocation.real("step-seconds", options.step_seconds);
    options.map_edge = invocation.integer("map-size", options.map_edge);
    if (!(options.seconds > 0) || options.batch < 1 || !(options.step_seconds >= 0) ||
        options.map_edge < 64) {
        throw Error(
            ExitCode::usage, 103,
            "bench io needs positive seconds, a batch of at least 1 and a map of at least 64 pixels.");
    }
    return options;
}

/// The synthetic scene that is measured without a configuration, cut into tiles of one size.
config::Config synthetic_store(const Invocation& invocation, const fs::path& folder, std::int64_t tile) {
    config::Config config =
        config::resolve(config::read_config_files({(folder / "scene.toml").string()}), {}, {}).config;
    config.runtime = invocation.config().runtime;
    config.grid.tile = tile;
    config.split.block = 1;
    config.split.buffer = 0;
    config.data.tiles = (folder / fmt::format("tiles-{}", tile)).string();
    tiles::build(config, config.data.tiles, data_ranks(invocation));
    return config;
}

void measure_store(const config::Config& config, const bench::IoOptions& options, device::Backend& backend,
                   comm::Communicator& communicator, bench::IoResult& result) {
    const tiles::TileStore store(config.data.tiles);
    store.require(config);
    for (const int readers : options.readers)
        result.tile_reading.push_back(bench::measure_tile_reading(store, readers, options, communicator));
    result.feeding.push_back(bench::measure_feeding(store, config, options, backend, communicator));
}

ExitCode run_bench_io(Invocation& invocation) {
    const bench::IoOptions options = options_of(invocation);
    comm::Communicator& communicator = invocation.communicator();
    const ChosenBackend backend = choose_backend(invocation, invocation.config().runtime);
    const ScratchFolder scratch(invocation.config().runtime.out, communicator);
    const bool own = invocation.config().modalities.empty();

    bench::IoResult result;
    config::Config config = invocation.config();
    if (own) {
        // Its tiles are larger than most caches of a core.
        synth::SceneOptions scene;
        scene.size = invocation.integer("size", 4096);
        if (communicator.rank() == 0) synth::write_scene(scratch.path(), scene, {});
        communicator.barrier();
        for (const std::int64_t tile : {128, 256, 512}) {
            if (tile > 128 && 2 * tile > scene.size) continue;  // too few to say anything
            config = synthetic_store(invocation, scratch.path(), tile);
            measure_store(config, options, *backend, communicator, result);
        }
    } else {
        measure_store(config, options, *backend, communicator, result);
    }
    const auto scenes = raster::find_scenes(config, raster::LabelUse::ignored);
    result.raster_reading = bench::measure_raster_reading(config, scenes.front(), options, communicator);
    result.map_writing = bench::measure_map_writing(config, scratch.path(), options, communicator);
    if (communicator.rank() != 0) return ExitCode::done;

    const std::string command = invocation.command_text();
    print_line(bench::io_json(result, communicator.size(), own ? "synthetic" : config.data.tiles, command));
    return ExitCode::done;
}

}  // namespace

extern const Verb bench_io_verb;
const Verb bench_io_verb = {
    .name = "bench io",
    .summary = "speed of reading tiles, feeding, reading rasters and writing maps; JSON",
    .ranks = Ranks::all,
    .config = ConfigNeed::optional,
    .positional = "",
    .options = {{.name = "readers",
                 .argument = Argument::many,
                 .value_name = "N",
                 .help = "threads per rank that read tiles; repeatable (default: 1 and --threads)"},
                {.name = "seconds", .value_name = "S", .help = "time of each measurement (default 1)"},
                {.name = "batch", .value_name = "N", .help = "samples per rank that are fed at a time (8)"},
                {.name = "step-seconds",
                 .value_name = "S",
                 .help = "length of the training step beside which the io-wait is measured (0.1)"},
                {.name = "map-size", .value_name = "PIXELS", .help = "edge of the map written (4096)"},
                {.name = "size",
                 .value_name = "PIXELS",
                 .help = "without -c: edge of the synthetic scene that is made and measured (4096)"}},
    .run = run_bench_io,
};

}  // namespace terrane::app
