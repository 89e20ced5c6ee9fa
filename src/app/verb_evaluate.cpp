#include "app/backend_choice.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/log.hpp"
#include "data/store_source.hpp"
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

report::ScoreContext context_of(const Invocation& invocation, const std::string& split,
                                const std::string& weights, const train::Evaluator& evaluator) {
    report::ScoreContext context;
    context.split = split;
    context.protocol = evaluator.protocol();
    context.weights = weights;
    for (const config::Class& entry : invocation.config().classes)
        context.classes.push_back({entry.name, entry.color});
    return context;
}

ExitCode run_evaluate(Invocation& invocation) {
    config::Config config = invocation.config();
    const std::vector<Limit> limits = parse_limits(invocation);
    const std::string split = invocation.text("split", "test");
    const tiles::TileStore store(config.data.tiles);
    store.require(config);
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

    const auto backend = choose_backend(config.runtime.device);
    const std::int64_t batch = config.eval.batch > 0 ? config.eval.batch : 4;
    graph::ParameterStore parameters(
        *backend, nets::build_network(config.model, config.loss,
                                      train::network_inputs(source.layout(), batch, source.layout().edge),
                                      nets::Task::evaluate, train::compute_type(config.train.precision)));
    train::load_model(file, parameters, *backend);
    train::require_equal_parameters(parameters, *backend, invocation.communicator());
    train::Evaluator evaluator(config, source, batch, *backend, parameters, invocation.communicator());
    if (config.runtime.dry_run) return ExitCode::done;

    const train::Evaluation evaluation = evaluator.run();
    const report::Scores scores = report::score(evaluation.confusion);
    const report::ScoreContext context = context_of(invocation, split, weights, evaluator);
    if (invocation.world().rank() == 0) {
        print_text(report::score_table(scores, context));
        if (!config.runtime.out.empty())
            report::write_scores(config.runtime.out, evaluation.confusion, context);
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
    .summary = "scores of a checkpoint on a split of the tiles",
    .ranks = Ranks::all,
    .config = ConfigNeed::required,
    .positional = "",
    .options = {{.name = "weights",
                 .value_name = "FOLDER",
                 .help = "checkpoint folder (runs/NAME/ckpt/best) or model.safetensors",
                 .required = true},
                {.name = "split", .value_name = "NAME", .help = "train, val or test (default: test)"},
                {.name = "fail-under",
                 .argument = Argument::many,
                 .value_name = "SCORE=VALUE",
                 .help = "exit with 81 if a score (miou, mf1, oa, kappa) is lower"}},
    .run = run_evaluate,
};

}  // namespace terrane::app
