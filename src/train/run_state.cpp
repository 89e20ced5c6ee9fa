#include "train/run_state.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "config/print.hpp"

namespace terrane::train {

namespace {

using Json = nlohmann::ordered_json;

constexpr int format = 1;

// A setting with its table, e.g. "[optim] lr = 0.001", one after another.
class Settings {
  public:
    explicit Settings(const std::string& text) : lines_(text) {}

    /// The next setting; empty at the end.
    std::string next() {
        std::string line;
        while (std::getline(lines_, line)) {
            if (line.empty()) continue;
            if (line.front() != '[') return table_ + " " + line;
            table_ = line;
        }
        return {};
    }

  private:
    std::istringstream lines_;
    std::string table_;
};

}  // namespace

std::string experiment_text(const config::Config& config) {
    config::Resolved resolved;
    resolved.config = config;
    config::Config& copy = resolved.config;
    for (config::Modality& modality : copy.modalities) modality.files.clear();
    copy.label.files.clear();
    copy.scribble.files.clear();
    copy.pseudo.files.clear();
    copy.split = {};  // like all of the above: what counts is the tiles, which have their own identity
    copy.grid = {};
    const config::Eval eval = copy.eval;
    copy.eval = {};
    if (copy.optim.schedule == "plateau") {  // then evaluations decide what is learned
        copy.eval.every = eval.every;
        copy.eval.every_steps = eval.every_steps;
        copy.eval.best = eval.best;
    }
    copy.checkpoint = {};
    copy.report = {};
    copy.predict = {};
    copy.data = {};
    const std::uint64_t seed = copy.runtime.seed;
    copy.runtime = {};
    copy.runtime.seed = seed;
    copy.train.batch = 0;
    copy.train.resume = {};
    copy.train.prefetch = {};
    copy.train.recompute = {};
    copy.train.init_weights = {};
    copy.train.max_bad_steps = {};
    copy.import_rules = {};
    return config::print_toml(resolved, config::SourceComments::off) +
           fmt::format("\n[runtime]\nseed = {}\ndeterministic = \"{}\"\n", seed,
                       config.runtime.deterministic);
}

std::string to_json(const RunState& state) {
    const Json json = {
        {"format", format},
        {"step", state.step},
        {"best_score", state.best_score},
        {"best_step", state.best_step},
        {"plateau",
         {{"evaluations", state.plateau.evaluations},
          {"best", state.plateau.best},
          {"stalled", state.plateau.stalled},
          {"reductions", state.plateau.reductions}}},
        {"shared_out", {{"ranks", state.ranks}, {"batch", state.batch}, {"micro_steps", state.micro_steps}}},
        {"evaluation_pending", state.evaluation_pending},
        {"since_evaluation",
         {{"loss", state.loss_since_evaluation}, {"steps", state.steps_since_evaluation}}},
        {"skipped", {{"in_row", state.skipped_in_row}, {"all", state.skipped}}},
        {"loss_scale", {{"value", state.loss_scale.value}, {"good_steps", state.loss_scale.good_steps}}},
        {"tiles", state.tiles},
        {"frozen", state.frozen},
        {"experiment", state.experiment}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

RunState run_state_from_json(const std::string& text, const std::string& file) {
    try {
        const Json json = Json::parse(text);
        if (json.at("format").get<int>() != format) throw std::runtime_error("its format is not 1");
        RunState state;
        state.step = json.at("step").get<std::int64_t>();
        state.best_score = json.at("best_score").get<double>();
        state.best_step = json.at("best_step").get<std::int64_t>();
        const Json plateau = json.value("plateau", Json::object());
        state.plateau = {plateau.value("evaluations", std::int64_t{0}), plateau.value("best", 0.0),
                         plateau.value("stalled", std::int64_t{0}),
                         plateau.value("reductions", std::int64_t{0})};
        const Json shared = json.value("shared_out", Json::object());
        state.ranks = shared.value("ranks", std::int64_t{0});
        state.batch = shared.value("batch", std::int64_t{0});
        state.micro_steps = shared.value("micro_steps", std::int64_t{0});
        state.evaluation_pending = json.value("evaluation_pending", false);
        const Json since = json.value("since_evaluation", Json::object());
        state.loss_since_evaluation = since.value("loss", 0.0);
        state.steps_since_evaluation = since.value("steps", std::int64_t{0});
        const Json skipped = json.value("skipped", Json::object());
        state.skipped_in_row = skipped.value("in_row", std::int64_t{0});
        state.skipped = skipped.value("all", std::int64_t{0});
        const Json scale = json.value("loss_scale", Json::object());
        state.loss_scale = {scale.value("value", 1.0), scale.value("good_steps", std::int64_t{0})};
        if (!(state.loss_scale.value > 0) || !std::isfinite(state.loss_scale.value))
            throw std::runtime_error("its loss scale is not positive");
        state.tiles = json.at("tiles").get<std::string>();
        if (json.contains("frozen")) state.frozen = json.at("frozen").get<std::vector<std::string>>();
        state.experiment = json.at("experiment").get<std::string>();
        if (state.step < 0) throw std::runtime_error("its step is negative");
        return state;
    } catch (const std::exception& error) {
        throw Error(ExitCode::data_invalid, 611, fmt::format("{} is damaged: {}.", file, error.what()),
                    "Use another checkpoint of the run.");
    }
}

void save_run_state(const std::filesystem::path& file, const RunState& state) {
    write_file_atomically(file, to_json(state));
}

RunState load_run_state(const std::filesystem::path& file) {
    return run_state_from_json(read_text_file(file, std::size_t{16} << 20), file.string());
}

void require_same_experiment(const RunState& stored, const RunState& current,
                             const std::filesystem::path& checkpoint) {
    const std::string fix =
        "Continue with the settings it was trained with, give another -o for a new run, or set "
        "train.resume = \"never\"; train.init_weights starts a new run from these weights.";
    Settings before(stored.experiment);
    Settings now(current.experiment);
    for (;;) {
        const std::string old_setting = before.next();
        const std::string new_setting = now.next();
        if (old_setting != new_setting) {
            throw Error(
                ExitCode::config_invalid, 515,
                fmt::format("checkpoint {} is of another configuration: it has '{}', this run has '{}'.",
                            checkpoint.string(), old_setting, new_setting),
                fix);
        }
        if (old_setting.empty()) break;
    }
    if (stored.tiles != current.tiles) {
        throw Error(ExitCode::config_invalid, 515,
                    fmt::format("checkpoint {} was trained on other tiles than the store holds now.",
                                checkpoint.string()),
                    fix);
    }
}

}  // namespace terrane::train
