#include <memory>

#include "app/backend_choice.hpp"
#include "app/network_inputs.hpp"
#include "app/output.hpp"
#include "app/scratch_folder.hpp"
#include "app/verb.hpp"
#include "bench/random_tiles.hpp"
#include "bench/scaling.hpp"
#include "data/store_source.hpp"
#include "train/network_setup.hpp"

namespace terrane::app {

namespace {

/// The tiles trained on: those of the configuration's store, or random ones (without a configuration, or with
/// --random).
struct Tiles {
    std::unique_ptr<tiles::TileStore> store;
    std::unique_ptr<data::TileSource> source;
};

/// Tiles of the inputs that the options describe.
data::TileLayout layout_of(const nets::NetworkInputs& inputs) {
    data::TileLayout layout{inputs.height, inputs.classes, {}};
    for (const nets::ModalityInput& modality : inputs.modalities) {
        layout.modalities.push_back({modality.name, DType::f32, modality.bands, modality.scale, {}});
    }
    return layout;
}

Tiles open_tiles(const Invocation& invocation, config::Config& config) {
    Tiles tiles;
    data::TileLayout layout;
    if (config.modalities.empty()) {
        layout = layout_of(network_inputs(invocation));
        for (std::int64_t c = 0; c < layout.classes; ++c) {
            config.classes.push_back({c, fmt::format("class {}", c), {}, 0});
        }
        config.augment.crop = 0;
    } else {
        tiles.store = std::make_unique<tiles::TileStore>(config.data.tiles);
        tiles.store->require(config);
        tiles.source = std::make_unique<data::StoreSource>(*tiles.store, tiles::Split::train, config);
        layout = tiles.source->layout();
    }
    if (config.modalities.empty() || invocation.has("random")) {
        const auto count = std::max<std::int64_t>(64, config.train.global_batch);
        tiles.source = std::make_unique<bench::RandomTiles>(layout, count);
        tiles.store.reset();
    }
    return tiles;
}

ExitCode run_bench_scaling(Invocation& invocation) {
    bench::ScalingOptions options;
    options.steps = static_cast<int>(invocation.integer("steps", options.steps));
    options.warm_up = static_cast<int>(invocation.integer("warm-up", options.warm_up));
    const std::int64_t batch = invocation.integer("batch", 0);
    if (options.steps < 1 || options.warm_up < 1 || batch < 0) {
        throw Error(ExitCode::usage, 103,
                    "bench scaling needs --steps, --warm-up and --batch of at least 1.");
    }
    const comm::World& world = invocation.world();
    config::Config config = invocation.config();
    config.model = nets::completed(config.model);
    config.train.precision = invocation.text("precision", config.train.precision);
    if (batch > 0) {
        // Weak scaling: every rank has as much to do as one alone.
        config.train.batch = batch;
        config.train.global_batch = batch * world.size();
    }
    const ChosenBackend backend = choose_backend(invocation, config.runtime);
    train::enter_precision(*backend, config.train.precision);
    const DeviceSums device_sums(invocation, config, *backend);
    options.device_sums = device_sums.get();
    const Tiles tiles = open_tiles(invocation, config);
    const ScratchFolder scratch(config.runtime.out, invocation.communicator());
    const bench::ScalingResult result = bench::measure_scaling(
        config, *tiles.source, options, *backend, invocation.communicator(), scratch.path() / "ckpt");
    if (world.rank() != 0) return ExitCode::done;
    print_line(bench::scaling_json(result, config, world.size(), world.nodes(), invocation.cores().threads,
                                   tiles.store ? config.data.tiles : "random", backend->description(),
                                   invocation.command_text()));
    return ExitCode::done;
}

std::vector<VerbOption> bench_scaling_options() {
    return {{.name = "random",
             .argument = Argument::none,
             .value_name = "",
             .help = "tiles of random numbers in memory, laid out like the store's"},
            {.name = "modality",
             .argument = Argument::many,
             .value_name = "NAME:BANDS[:SCALE]",
             .help = "without -c: an input; repeatable"},
            {.name = "bands", .value_name = "N", .help = "without -c: bands of a single optical modality"},
            {.name = "classes", .value_name = "N", .help = "without -c: number of classes"},
            {.name = "size", .value_name = "PIXELS", .help = "without -c: edge of a tile"},
            {.name = "batch",
             .value_name = "N",
             .help = "samples per rank (weak scaling); without it train.global_batch is shared out (strong)"},
            {.name = "precision",
             .value_name = "fp32|tf32|bf16|fp16",
             .help = "type of activations (train.precision)"},
            {.name = "steps", .value_name = "N", .help = "timed steps (10)"},
            {.name = "warm-up", .value_name = "N", .help = "steps before them (3)"}};
}

}  // namespace

extern const Verb bench_scaling_verb;
const Verb bench_scaling_verb = {
    .name = "bench scaling",
    .summary = "time training steps on these ranks: tiles/s, exposed communication, io-wait; JSON",
    .ranks = Ranks::all,
    .config = ConfigNeed::optional,
    .positional = "",
    .options = bench_scaling_options(),
    .run = run_bench_scaling,
};

}  // namespace terrane::app
