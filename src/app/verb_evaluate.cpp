#include <optional>

#include "app/activity_teller.hpp"
#include "app/backend_choice.hpp"
#include "app/output.hpp"
#include "app/score_context.hpp"
#include "app/verb.hpp"
#include "base/log.hpp"
#include "data/store_source.hpp"
#include "predict/map_scores.hpp"
#include "raster/describe.hpp"
#include "report/scores_output.hpp"
#include "train/evaluator.hpp"
#include "train/model_files.hpp"
#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

/// A lower limit of --fail-under.
struct Limit {
    std::string score;
    double least = 0;
};

std::vector<Limit> parse_limits(const Invocation& invocation) {
    std::vector<Limit> limits;
    for (const std::string& text : invocation.list("fail-under")) {
        const std::size_t equals = text.find('=');
        const std::string score = text.substr(0, equals);
        const bool known = score == "miou" || score == "mf1" || score == "oa" || score == "kappa";
        std::size_t end = 0;
        double least = 0;
        try {
            if (equals != std::string::npos) least = std::stod(text.substr(equals + 1), &end);
        } catch (const std::exception&) {
            end = 0;
        }
        if (!known || end == 0 || equals + 1 + end != text.size()) {
            throw Error(ExitCode::usage, 103, fmt::format("--fail-under {} is not understood.", text),
                        "Write e.g. --fail-under miou=0.7; scores: miou, mf1, oa, kappa.");
        }
        limits.push_back({score, least});
    }
    return limits;
}

void require_same_classes(const train::ModelDescription& model, const config::Config& config,
                          const fs::path& file) {
    bool same = model.classes.size() == config.classes.size();
    for (std::size_t c = 0; same && c < config.classes.size(); ++c)
        same = model.classes[c].name == config.classes[c].name;
    if (same) return;
    throw Error(ExitCode::config_invalid, 606,
                fmt::format("{} was trained for other classes than the configuration lists.", file.string()),
                "List the [[class]] tables of the training, in the same order.");
}

/// What was counted and what it means; the same on every rank.
struct Scored {
    report::ConfusionMatrix confusion;
    report::ScoreContext context;
};

/// A checkpoint on the tiles of a split; nothing in a dry run.
std::optional<Scored> score_checkpoint(const Invocation& invocation) {
    config::Config config = invocation.config();
    const std::string split = invocation.text("split", "test");
    const tiles::TileStore store(config.data.tiles);
    store.require(config);
    invocation.world().require_equal("tile store", store.identity());
    data::StoreSource source(store, tiles::split_from_name(split, "--split"), config);
    if (source.size() == 0) {
        throw Error(ExitCode::data_invalid, 514, fmt::format("the split {} has no tiles.", split),
                    "Check [split], then build the tiles again.");
    }

    const std::string weights = invocation.text("weights");
    const fs::path file = train::model_file_of(weights);
    if (const auto description = train::read_model_description(file)) {
        require_same_classes(*description, config, file);
        source.normalise_as(description->modalities);
        config.model = description->model;
    }

    const ChosenBackend backend = choose_backend(invocation, config.runtime);
    log::info("dev   {}", backend.line());
    train::enter_precision(*backend, config.train.precision);
    const std::int64_t batch = config.eval.batch > 0 ? config.eval.batch : 4;
    graph::ParameterStore parameters(
        *backend, nets::build_network(config.model, config.loss,
                                      train::network_inputs(source.layout(), batch, source.layout().edge),
                                      nets::Task::evaluate, train::compute_type(config.train.precision)));
    train::load_model(file, parameters, *backend);
    train::require_equal_parameters(parameters, *backend, invocation.communicator());
    train::Evaluator evaluator(config, source, batch, *backend, parameters, invocation.communicator());
    if (config.runtime.dry_run) return {};

    const ActivityTeller teller(invocation.world(), {&source}, backend->description());
    Scored scored{evaluator.run().confusion, score_context(config, split)};
    scored.context.weights = weights;
    scored.context.protocol = evaluator.protocol();
    return scored;
}

std::vector<fs::path> paths_of(const Invocation& invocation, const std::string& option) {
    std::vector<fs::path> paths;
    for (const std::string& text : invocation.list(option)) {
        paths.emplace_back(text);
        raster::describe(paths.back());  // what can't be opened is named before any work
    }
    return paths;
}

/// Maps against label rasters, or against the tiles of a split; nothing in a dry run.
std::optional<Scored> score_predictions(const Invocation& invocation) {
    const config::Config& config = invocation.config();
    const std::vector<fs::path> maps = paths_of(invocation, "prediction"),
                                truth = paths_of(invocation, "truth");
    const std::string split = invocation.text("split");
    Scored scored{report::ConfusionMatrix(1), score_context(config, split.empty() ? "map" : split)};
    std::vector<predict::MapToScore> pairs;
    if (split.empty() || !truth.empty()) {
        pairs = predict::pair_with_truth(config, maps, truth);
    } else {
        for (const fs::path& map : maps) pairs.push_back({map, {}});
    }
    std::string& protocol = scored.context.protocol;
    std::optional<predict::MapScores> scores;
    if (split.empty()) {
        if (config.runtime.dry_run) return {};
        scores = predict::score_maps(config, pairs, invocation.communicator());
        protocol = "every pixel of the map with a label at its centre, each once";
    } else {
        const tiles::TileStore store(config.data.tiles);
        store.require(config);
        invocation.world().require_equal("tile store", store.identity());
        const tiles::Split which = tiles::split_from_name(split, "--split");
        if (config.runtime.dry_run) return {};
        scores = predict::score_map_tiles(config, store, which, pairs, invocation.communicator());
        protocol = fmt::format("the map's pixels on {} tiles of {} x {} pixels, each once", scores->tiles,
                               store.manifest().tile, store.manifest().tile);
    }
    protocol += fmt::format(
        "; truth: {}; ignored labels not counted; {} labelled pixels without a prediction "
        "not counted; means over the classes that occur",
        pairs[0].truth.empty() ? "the tile store" : pairs[0].truth[0].string(), scores->unpredicted);
    if (scores->unpredicted > 0 && invocation.world().rank() == 0) {
        log::warning("{} labelled pixels have no prediction and are left out of the scores",
                     scores->unpredicted);
    }
    scored.confusion = scores->confusion;
    scored.context.unpredicted = scores->unpredicted;
    for (const fs::path& map : maps)
        scored.context.maps += (scored.context.maps.empty() ? "" : " ") + map.string();
    return scored;
}

ExitCode run_evaluate(Invocation& invocation) {
    const std::vector<Limit> limits = parse_limits(invocation);
    const bool maps = invocation.has("prediction");
    if (maps == invocation.has("weights") || (invocation.has("truth") && !maps)) {
        throw Error(ExitCode::usage, 107,
                    "evaluate takes either --weights or --prediction, the latter perhaps "
                    "with --truth.",
                    "Give --weights runs/NAME/ckpt/best, or --prediction map.tif.");
    }
    const std::optional<Scored> scored = maps ? score_predictions(invocation) : score_checkpoint(invocation);
    if (!scored) return ExitCode::done;
    const report::Scores scores = report::score(scored->confusion);
    if (invocation.world().rank() == 0) {
        print_text(report::score_table(scores, scored->context));
        const std::string& out = invocation.config().runtime.out;
        if (!out.empty()) report::write_scores(out, scored->confusion, scored->context);
    }

    ExitCode code = ExitCode::done;
    for (const Limit& limit : limits) {
        const double value = scores.by_name(limit.score);
        if (value >= limit.least) continue;
        if (invocation.world().rank() == 0)
            log::warning("{} = {:.4f} is below {}", limit.score, value, limit.least);
        code = ExitCode::fail_under;
    }
    return code;
}

}  // namespace

extern const Verb evaluate_verb;
const Verb evaluate_verb = {
    .name = "evaluate",
    .summary = "scores of a checkpoint on a split of the tiles, or of prediction rasters against truth",
    .ranks = Ranks::all,
    .config = ConfigNeed::required,
    .positional = "",
    .options = {{.name = "weights",
                 .value_name = "FOLDER",
                 .help = "checkpoint folder (runs/NAME/ckpt/best) or model.safetensors"},
                {.name = "prediction",
                 .argument = Argument::many,
                 .value_name = "MAP.tif",
                 .help = "instead of --weights: a class map to be scored; repeatable, one per scene"},
                {.name = "truth",
                 .argument = Argument::many,
                 .value_name = "FILE",
                 .help = "label rasters for --prediction (default: those of [label])"},
                {.name = "split",
                 .value_name = "NAME",
                 .help = "train, val or test (default: test; with --prediction: the whole map)"},
                {.name = "fail-under",
                 .argument = Argument::many,
                 .value_name = "SCORE=VALUE",
                 .help = "exit with 81 if a score (miou, mf1, oa, kappa) is lower"}},
    .run = run_evaluate,
};

}  // namespace terrane::app
