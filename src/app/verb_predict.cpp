#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "app/backend_choice.hpp"
#include "app/banner.hpp"
#include "app/memory_budget.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/leftovers.hpp"
#include "base/log.hpp"
#include "base/process_memory.hpp"
#include "predict/heartbeat.hpp"
#include "predict/network_classifier.hpp"
#include "predict/parts_folder.hpp"
#include "predict/raster_scene.hpp"
#include "predict/scene_choice.hpp"
#include "predict/scene_predictor.hpp"
#include "report/console.hpp"
#include "tiles/statistics.hpp"
#include "train/model_files.hpp"
#include "train/network_setup.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

std::vector<predict::MapClass> map_classes(const train::ModelDescription& model) {
    std::vector<predict::MapClass> classes;
    for (const config::Class& entry : model.classes) {
        if (entry.id < 0 || entry.id > 254) {
            throw Error(
                ExitCode::config_invalid, 502,
                fmt::format("class '{}' has the id {}, but a map can hold 0 to 254.", entry.name, entry.id),
                "Number the classes 0 to 254 with [[class]].id and train again.");
        }
        classes.push_back({static_cast<int>(entry.id), entry.name, entry.color});
    }
    return classes;
}

/// What a relative modality has subtracted under a window: the tile store's own rule.
predict::BaseOf base_of(const config::Config& config, const data::ModalityLayout& layout) {
    for (const config::Modality& modality : config.modalities) {
        if (modality.name != layout.name || !modality.relative) continue;
        config::Modality trained = modality;
        trained.multiply = static_cast<double>(layout.normalisation.front().multiply);
        trained.add = static_cast<double>(layout.normalisation.front().add);
        const auto scratch = std::make_shared<std::vector<float>>();
        const std::int64_t bands = layout.bands;
        return [trained, scratch, bands](std::span<const std::byte> values,
                                         std::span<const std::uint8_t> validity, DType stored) {
            return tiles::relative_base(values, validity, stored, bands, trained, *scratch);
        };
    }
    return {};
}

predict::ClassifierDesign design_of(const config::Config& config, const train::ModelDescription& model) {
    predict::ClassifierDesign design;
    design.model = model.model;
    design.compute = train::compute_type(config.train.precision);
    design.window = config.predict.window > 0 ? config.predict.window : model.crop;
    design.crop = model.crop;
    design.seed = config.runtime.seed;
    design.batch = config.predict.batch;
    design.symmetries = config.predict.symmetries;
    design.classes = static_cast<std::int64_t>(model.classes.size());
    for (const data::ModalityLayout& layout : model.modalities)
        design.modalities.push_back({layout, base_of(config, layout)});
    return design;
}

predict::SceneChoice scenes_of(const Invocation& invocation, const train::ModelDescription& model) {
    predict::SceneRequest request;
    request.replacements = invocation.list("input");
    request.without = invocation.list("without");
    request.missing_allowed = model.model.modality_dropout > 0;
    predict::SceneChoice choice = predict::choose_scenes(invocation.config(), request);
    // Modalities that the network never saw would be read for nothing.
    std::vector<std::string> unused;
    for (const config::Modality& modality : choice.config.modalities) {
        const bool used = std::any_of(model.modalities.begin(), model.modalities.end(),
                                      [&](const auto& layout) { return layout.name == modality.name; });
        if (!used) unused.push_back(modality.name);
    }
    if (unused.empty()) return choice;
    request.without.insert(request.without.end(), unused.begin(), unused.end());
    return predict::choose_scenes(invocation.config(), request);
}

/// One scene's share of a prediction.
struct Job {
    const raster::SceneFiles* files = nullptr;
    predict::MapProducts products;
};

std::vector<Job> jobs_of(const Invocation& invocation, const predict::SceneChoice& choice,
                         const train::ModelDescription& model) {
    const config::Config& config = invocation.config();
    const std::vector<fs::path> maps = predict::map_paths(config.runtime.out, choice.scenes);
    std::vector<Job> jobs;
    for (std::size_t i = 0; i < maps.size(); ++i) {
        Job job{&choice.scenes[i], {}};
        job.products.map = maps[i];
        job.products.confidence = config.predict.confidence;
        job.products.entropy = config.predict.entropy;
        job.products.smallest_region = config.predict.smallest_region;
        job.products.scores = config.predict.scores;
        job.products.quicklook_edge = config.predict.quicklook;
        job.products.classes = map_classes(model);
        jobs.push_back(std::move(job));
    }
    return jobs;
}

void prepare_folders(const Invocation& invocation, const std::vector<Job>& jobs) {
    const bool overwrite = invocation.config().runtime.overwrite;
    for (const Job& job : jobs) {
        const fs::path folder = job.products.map.parent_path();
        std::error_code ignored;  // check() below says what is wrong
        if (jobs.size() > 1 && !folder.empty() && !invocation.config().runtime.dry_run) {
            fs::create_directories(folder, ignored);
        }
        job.products.check(overwrite ? predict::MapProducts::Existing::replace
                                     : predict::MapProducts::Existing::refuse);
    }
    invocation.communicator().barrier();
}

class ScenePredictor {
  public:
    ScenePredictor(const Invocation& invocation, const predict::SceneChoice& choice,
                   predict::NetworkClassifier& classifier, predict::Heartbeat& heartbeat)
        : config_(choice.config),
          classifier_(classifier),
          heartbeat_(heartbeat),
          console_(report::choose_progress(invocation.world().rank() == 0 ? config_.runtime.progress : "none",
                                           report::error_stream_is_terminal())) {
        settings_.overlap = config_.predict.overlap;
        settings_.blend = config_.predict.blend == "mean" ? predict::Blend::mean : predict::Blend::hann;
        settings_.process_bytes = process_memory().resident;
        settings_.memory_budget = memory_budget(config_.runtime, invocation.world().local_size());
        settings_.network_bytes = classifier.bytes();
    }

    void run(const Job& job, comm::Communicator& communicator) {
        predict::RasterScene scene(config_, *job.files);
        classifier_.bind(scene);
        const predict::ScenePlan plan = plan_scene(scene, classifier_, job.products, settings_, communicator);
        const bool speaks = communicator.rank() == 0;
        if (speaks) console_.line(describe(job, scene, plan));
        if (config_.runtime.dry_run) return;
        const predict::SceneReport report = predict_scene(
            scene, scene.grid(), classifier_, job.products, plan, communicator,
            [&](const predict::RankProgress& state) {
                heartbeat_.beat();
                show(*job.files, state, communicator.size());
            },
            [&] { heartbeat_.beat(); });
        if (!speaks) return;
        if (report.windows == 0)
            log::warning("scene {} has no valid pixel: its map holds nodata only", job.files->id);
        console_.line(describe(job, plan, report));
    }

  private:
    std::string describe(const Job& job, const predict::RasterScene& scene,
                         const predict::ScenePlan& plan) const {
        const predict::AxisLayout& layout = plan.grid.rows.layout();
        const double twice =
            static_cast<double>(plan.blocks.windows) / static_cast<double>(plan.grid.count()) - 1;
        return fmt::format(
            "{}  {}\n  windows {} of {}, stride {}, {} blocks, {:.1f} % computed twice\n  memory per rank, "
            "MB: {} of {:.0f} MB",
            job.files->id, scene.grid().text(), plan.grid.count(), layout.window, layout.stride,
            plan.blocks.blocks.size(), 100 * twice, plan.blocks.memory_text(),
            static_cast<double>(settings_.memory_budget) / (1 << 20));
    }

    std::string describe(const Job& job, const predict::ScenePlan& plan,
                         const predict::SceneReport& report) const {
        return fmt::format(
            "{}  {} pixels in {}  {:.3f} Mpx/s  {} windows ({} without data)  io-wait {:.1f} %  peak {} "
            "of {} MB per rank",
            job.products.map.string(), report.pixels, report::format_duration(report.seconds),
            static_cast<double>(report.pixels) / std::max(report.seconds, 1e-9) * 1e-6, report.windows,
            plan.blocks.windows - report.windows, 100 * report.io_wait, report.peak_bytes >> 20,
            settings_.memory_budget >> 20);
    }

    /// The first rank speaks for all: they have equal shares.
    void show(const raster::SceneFiles& files, const predict::RankProgress& state, int ranks) {
        report::PredictionProgress progress;
        progress.scene = files.id;
        progress.window = state.windows;
        progress.windows = state.all_windows;
        const double speed = static_cast<double>(state.windows) / std::max(state.seconds, 1e-9);
        progress.pixels_per_second = speed * static_cast<double>(state.pixels_per_window) * ranks;
        progress.io_wait = state.waited_seconds / std::max(state.seconds, 1e-9);
        progress.seconds_left =
            static_cast<double>(state.all_windows - state.windows) / std::max(speed, 1e-9);
        console_.progress(progress);
    }

    const config::Config& config_;
    predict::NetworkClassifier& classifier_;
    predict::Heartbeat& heartbeat_;
    predict::SceneSettings settings_;
    report::Console console_;
};

/// Lets waiting ranks listen to the others for as long as it lives.
class WaitForSigns {
  public:
    WaitForSigns(comm::World& world, predict::Heartbeat* heartbeat) : world_(world) {
        if (heartbeat != nullptr) world.set_others_work([heartbeat] { return heartbeat->others_beat(); });
    }
    ~WaitForSigns() { world_.set_others_work({}); }
    WaitForSigns(const WaitForSigns&) = delete;
    WaitForSigns& operator=(const WaitForSigns&) = delete;

  private:
    comm::World& world_;
};

ExitCode run_predict(Invocation& invocation) {
    const fs::path weights = train::model_file_of(invocation.text("weights"));
    const train::ModelDescription model = train::model_description(weights);
    const predict::SceneChoice choice = scenes_of(invocation, model);
    const std::vector<Job> jobs = jobs_of(invocation, choice, model);
    prepare_folders(invocation, jobs);
    const ChosenBackend backend = choose_backend(invocation, choice.config.runtime);
    show_banner(invocation, "", backend);
    for (const std::string& name : choice.withheld) log::info("modality {} is withheld", name);

    train::enter_precision(*backend, choice.config.train.precision);
    predict::NetworkClassifier classifier(design_of(choice.config, model), *backend);
    train::load_model(weights, classifier.parameters(), *backend);
    classifier.parameters_changed();

    // While one rank still computes or the first one puts a map together, the others wait in a collective;
    // for how long nobody knows, so that a rank counts as lost only when no rank shows any life.
    comm::World& world = invocation.world();
    std::optional<predict::PartsFolder> signs;
    if (world.size() > 1 && !choice.config.runtime.dry_run) {
        std::string owner = process_tag() + ".alive";
        invocation.communicator().broadcast(owner, 0);
        signs.emplace(jobs.front().products.map, owner);
    }
    predict::Heartbeat heartbeat(signs ? signs->path() : fs::path(), world.rank());
    const WaitForSigns waiting(world, signs ? &heartbeat : nullptr);
    ScenePredictor predictor(invocation, choice, classifier, heartbeat);
    const auto ranks = static_cast<std::size_t>(world.size());
    // Many scenes are dealt out whole; few are shared by all ranks.
    if (ranks > 1 && jobs.size() >= 2 * ranks) {
        const auto alone = comm::self_communicator();
        for (std::size_t i = static_cast<std::size_t>(world.rank()); i < jobs.size(); i += ranks) {
            predictor.run(jobs[i], *alone);
        }
        invocation.communicator().barrier();
    } else {
        for (const Job& job : jobs) predictor.run(job, invocation.communicator());
    }
    invocation.communicator().barrier();  // before the first of them clears the folder of the signs
    return ExitCode::done;
}

}  // namespace

extern const Verb predict_verb;
const Verb predict_verb = {
    .name = "predict",
    .summary = "rasters of any size to a class map, with optional confidence, entropy and scores",
    .ranks = Ranks::all,
    .config = ConfigNeed::required,
    .positional = "",
    .options = {{.name = "weights",
                 .value_name = "FOLDER|FILE",
                 .help = "checkpoint folder (runs/NAME/ckpt/best) or its model.safetensors",
                 .required = true},
                {.name = "input",
                 .argument = Argument::many,
                 .value_name = "NAME=PATH",
                 .help = "replaces the files of a modality; may be repeated",
                 .letter = 'i'},
                {.name = "without",
                 .argument = Argument::many,
                 .value_name = "NAME",
                 .help = "withholds a modality; may be repeated"}},
    .run = run_predict,
};

}  // namespace terrane::app
