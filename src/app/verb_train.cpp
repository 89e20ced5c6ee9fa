#include <array>
#include <chrono>
#include <cstdlib>

#include "app/activity_teller.hpp"
#include "app/backend_choice.hpp"
#include "app/banner.hpp"
#include "app/launch_options.hpp"
#include "app/memory_budget.hpp"
#include "app/run_records.hpp"
#include "app/training_console.hpp"
#include "app/verb.hpp"
#include "base/log.hpp"
#include "base/process_memory.hpp"
#include "base/signals.hpp"
#include "data/store_source.hpp"
#include "train/network_setup.hpp"
#include "train/trainer.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

/// Passes on to observers that are made later: nothing may be written before the run is known to be
/// possible.
class LateObservers final : public train::TrainingObserver {
  public:
    std::vector<train::TrainingObserver*> targets;

    void on_start(const train::RunReport& report) override {
        for (train::TrainingObserver* target : targets) target->on_start(report);
    }
    void on_step(const train::StepReport& report) override {
        for (train::TrainingObserver* target : targets) target->on_step(report);
    }
    void on_evaluation(const train::EvaluationReport& report) override {
        for (train::TrainingObserver* target : targets) target->on_evaluation(report);
    }
    void on_checkpoint(std::int64_t step) override {
        for (train::TrainingObserver* target : targets) target->on_checkpoint(step);
    }
    void on_saved(const train::SaveResult& result) override {
        for (train::TrainingObserver* target : targets) target->on_saved(result);
    }
    void on_skip(const train::SkipReport& report) override {
        for (train::TrainingObserver* target : targets) target->on_skip(report);
    }
    void on_divergence(const train::Divergence& divergence) override {
        for (train::TrainingObserver* target : targets) target->on_divergence(divergence);
    }
    void on_stop(const train::StopReport& report) override {
        for (train::TrainingObserver* target : targets) target->on_stop(report);
    }
};

/// The folder of the run, chosen by rank 0: it holds the time and a process number.
fs::path agreed_folder(const Invocation& invocation) {
    std::string folder;
    if (invocation.world().rank() == 0) folder = report::RunFolder::choose(invocation.config()).string();
    invocation.communicator().broadcast(folder, 0);
    return folder;
}

report::RunDescription description_of(const Invocation& invocation) {
    return {fmt::format("terrane {}", version()), invocation.command(), invocation.world().library(),
            invocation.world().hosts(), invocation.cores().threads};
}

report::DataSummary summary_of(const tiles::TileStore& store) {
    report::DataSummary summary;
    summary.tiles = store.folder().string();
    summary.identity = store.identity();
    const auto count = [&](tiles::Split split) {
        return static_cast<std::int64_t>(store.tiles_of(split).size());
    };
    summary.train = count(tiles::Split::train);
    summary.val = count(tiles::Split::val);
    summary.test = count(tiles::Split::test);
    summary.edge = store.manifest().tile;
    std::int64_t labelled = 0;
    for (const tiles::TileRecord& tile : store.manifest().tiles) {
        for (const std::int64_t pixels : tile.class_pixels) labelled += pixels;
    }
    const std::int64_t pixels = store.size() * summary.edge * summary.edge;
    if (pixels > 0) summary.ignored = 1 - static_cast<double>(labelled) / static_cast<double>(pixels);
    for (const tiles::StoredModality& modality : store.manifest().modalities) {
        summary.modalities.emplace_back(modality.name, modality.bands);
    }
    return summary;
}

/// --dist-debug: what ranks exchange in a step, and what they don't.
void show_exchange(const train::RunReport& plan) {
    std::string buckets;
    for (const std::size_t bytes : plan.buckets)
        buckets += fmt::format(" {:.2f}", static_cast<double>(bytes) / 1e6);
    log::info("debug {} gradient buckets, MB in the order of their sums:{}", plan.buckets.size(), buckets);
    log::info("debug {} parameters without gradient{}{}", plan.without_gradient.size(),
              plan.without_gradient.empty() ? "" : ": ", fmt::join(plan.without_gradient, ", "));
}

void print_plan(const Invocation& invocation, const fs::path& folder, const tiles::TileStore& store,
                const train::RunReport& plan, std::size_t budget, const ChosenBackend& backend) {
    const std::string debug = dist_debug(invocation.resolved(), comm::environment_variable);
    show_banner(invocation, folder.string(), backend);
    log::info("{}", report::format_data(summary_of(store)));
    log::info("{}", report::format_memory(plan.parameters, static_cast<std::int64_t>(plan.memory.total()),
                                          static_cast<std::int64_t>(budget)));
    const config::Optim& optim = invocation.config().optim;
    log::info("rate  effective lr {} (optim.lr {}, lr_scale {})", plan.peak_rate, optim.lr, optim.lr_scale);
    for (const optim::RuleMatch& group : plan.groups) {
        log::info("group \"{}\" matches {} tensors, {} parameters", group.match, group.tensors,
                  group.elements);
    }
    if (plan.trained_parameters < plan.parameters) {
        log::info("train {} of {} parameters; {} are frozen or read by no loss", plan.trained_parameters,
                  plan.parameters, plan.parameters - plan.trained_parameters);
    }
    if (debug != "off" && invocation.world().rank() == 0) show_exchange(plan);
    log::info("plan  {} steps, {} per epoch, from step {}", plan.total_steps, plan.steps_per_epoch,
              plan.first_step);
}

/// `plan` is of a device that has memory of its own; if that turns out to be short all the same, it is shown.
std::unique_ptr<train::Trainer> make_trainer(const train::TrainingSetup& setup,
                                             const train::MemoryPlan& plan) {
    try {
        return std::make_unique<train::Trainer>(setup);
    } catch (const Error& error) {
        if (error.number() != 710 || plan.parts.empty()) throw;
        throw error.with_context(fmt::format("planned per rank, in MB: {}", plan.text()));
    }
}

ExitCode run_train(Invocation& invocation) {
    const auto began = std::chrono::steady_clock::now();
    const signals::StopRequest stop;
    config::Config config = invocation.config();
    const fs::path folder = agreed_folder(invocation);
    std::unique_ptr<FolderLock> lock;
    if (invocation.world().rank() == 0 && !config.runtime.dry_run) lock = report::RunFolder::lock(folder);
    // A run that will be replaced is not continued.
    if (config.runtime.overwrite) config.train.resume = "never";

    const std::size_t budget = memory_budget(config.runtime, invocation.world().local_size());
    const ChosenBackend backend = choose_backend(invocation, config.runtime);
    train::enter_precision(*backend, config.train.precision);
    const DeviceSums device_sums(invocation, config, *backend);
    const tiles::TileStore store(config.data.tiles);
    store.require(config);
    invocation.world().require_equal("tile store", store.identity());
    invocation.world().set_report_folder(folder);
    data::StoreSource training(store, tiles::Split::train, config, data::StoreSource::Maps::of_loss);
    data::StoreSource validation(store, tiles::Split::val, config);
    if (validation.size() == 0 && invocation.world().rank() == 0) {
        log::warning("the split val has no tiles: nothing is evaluated, ckpt/best is the last checkpoint");
    }

    const ActivityTeller teller(invocation.world(), {&training, &validation}, backend->description());
    LateObservers observers;
    train::TrainingSetup setup{config,
                               training,
                               validation.size() > 0 ? &validation : nullptr,
                               *backend,
                               invocation.communicator(),
                               folder / "ckpt",
                               observers,
                               process_memory().resident};
    setup.device_sums = device_sums.get();
    if (invocation.has("feature-cache")) setup.features = fs::path(config.data.tiles) / "features";
    setup.stop_requested = [&] { return stop.signal() != 0; };
    setup.stop_cause = [&] { return signals::name_of(stop.signal()); };
    if (config.runtime.max_time > 0) {
        setup.deadline = began + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                     std::chrono::duration<double>(config.runtime.max_time));
    }
    // A device with memory of its own is asked before anything is allocated there.
    const std::optional<std::size_t> device_memory = backend->memory_left();
    train::MemoryPlan plan;
    if (device_memory) plan = train::require_device_memory(setup, *device_memory);
    std::array<std::int64_t, 1> limited{addresses_are_limited() ? 1 : 0};
    invocation.communicator().max(limited);
    const train::MemoryScope scope = device_memory ? train::MemoryScope::host : train::MemoryScope::all;
    if (limited[0] != 0) train::require_memory(setup, train::planned_memory(setup), budget, scope);
    const std::unique_ptr<train::Trainer> made = make_trainer(setup, plan);
    train::Trainer& trainer = *made;
    train::require_memory(setup, trainer.plan().memory, budget, scope);
    trainer.prepare();
    print_plan(invocation, folder, store, trainer.plan(), budget, backend);
    if (config.runtime.dry_run) return ExitCode::done;

    GpuWatch gpu(backend->device_id());
    std::unique_ptr<report::RunFolder> run;
    std::unique_ptr<RunRecords> records;
    if (invocation.world().rank() == 0) {
        run = std::make_unique<report::RunFolder>(folder, invocation.resolved(), description_of(invocation));
        records = std::make_unique<RunRecords>(invocation.config(), store, *run, gpu);
        observers.targets.push_back(records.get());
    }
    TrainingConsole console(invocation, run.get(), gpu);
    observers.targets.push_back(&console);
    const bool stopped = trainer.run() == train::Trainer::Outcome::stopped_early;
    if (records != nullptr) records->finish();
    console.finish(stopped);
    return stopped ? ExitCode::stopped_early : ExitCode::done;
}

}  // namespace

extern const Verb train_verb;
const Verb train_verb = {
    .name = "train",
    .summary = "fit a network to the training tiles, evaluating on schedule",
    .ranks = Ranks::all,
    .config = ConfigNeed::required,
    .positional = "",
    .options =
        {{.name = "resume",
          .value_name = "auto|never|FOLDER",
          .help =
              "what to go on from: the last good checkpoint of the run folder, nothing, or this checkpoint",
          .key = "train.resume"},
         {.name = "init-weights",
          .value_name = "PATH",
          .help = "weights to begin a new run with: a checkpoint, a .safetensors or a .pth file",
          .key = "train.init_weights"},
         {.name = "smoke",
          .argument = Argument::none,
          .help =
              "try everything out: 100 steps of one sample per rank, evaluation and checkpoint at the end"},
         {.name = "feature-cache",
          .argument = Argument::none,
          .help = "compute what the frozen part gives once per tile, and keep it beside the tiles"}},
    .run = run_train,
};

}  // namespace terrane::app
