#include <sstream>

#include "base/log.hpp"
#include "nets/freezing.hpp"
#include "optim/parameter_groups.hpp"
#include "train/class_weights.hpp"
#include "train/model_files.hpp"
#include "train/model_import.hpp"
#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"
#include "train/trainer.hpp"

/// Trainer's beginning and its checkpoints; the training itself is in trainer.cpp.
namespace terrane::train {

namespace fs = std::filesystem;

namespace {

constexpr const char* model_file = "model.safetensors";
constexpr const char* moments_file = "optim.safetensors";
constexpr const char* state_file = "state.json";

recipe::Design design_of(const TrainingSetup& setup, const data::BatchPlan& batches, std::int64_t crop) {
    const config::Config& config = setup.config;
    return {.model = config.model,
            .loss = config.loss,
            .inputs = network_inputs(setup.training.layout(), batches.batch, crop),
            .task = nets::Task::train,
            .compute = compute_type(config.train.precision),
            .plan = {.recompute = graph::recompute_from_name(config.train.recompute)},
            .micro_steps = batches.micro_steps,
            .crop = crop};
}

optim::ParameterGroups groups_of(const graph::ParameterStore& store, const config::Optim& settings) {
    std::vector<optim::ParameterPlace> places;
    for (const auto& entry : store.entries()) {
        if (entry.trainable == graph::Trainable::yes)
            places.push_back({entry.name, entry.shape, entry.offset});
    }
    return optim::group_parameters(places, settings.groups, optim::decay_scope_from_name(settings.decay));
}

std::unique_ptr<Evaluator> make_evaluator(const TrainingSetup& setup, std::int64_t training_batch,
                                          graph::ParameterStore& store) {
    if (setup.validation == nullptr) return nullptr;
    const std::int64_t batch = setup.config.eval.batch > 0 ? setup.config.eval.batch : training_batch;
    return std::make_unique<Evaluator>(setup.config, *setup.validation, batch, setup.backend, store,
                                       setup.communicator);
}

ModelDescription description_of(const TrainingSetup& setup, std::int64_t crop) {
    config::Model model = nets::completed(setup.config.model);
    if (model.vit.image == 0) model.vit.image = crop;  // what a positional embedding was trained for
    return {model, setup.training.layout().modalities, setup.config.classes, crop};
}

}  // namespace

Trainer::Trainer(const TrainingSetup& setup)
    : setup_(setup),
      config_(setup.config),
      communicator_(setup.communicator),
      batches_(data::plan_batches(config_.train, communicator_.size())),
      sampler_(config_.sampler, config_.runtime.seed, setup.training),
      augmentation_(config_.augment, config_.model.modality_dropout, setup.training.layout(),
                    config_.runtime.seed),
      order_(sampler_, augmentation_, batches_, communicator_.rank()),
      steps_per_epoch_(sampler_.steps_per_epoch(batches_.global_batch())),
      total_steps_(config_.train.steps > 0 ? config_.train.steps : config_.train.epochs * steps_per_epoch_),
      checkpoints_(setup.checkpoints),
      resume_from_(checkpoint_to_resume()),
      design_(frozen_design()),
      store_(setup.backend, recipe::parameter_graph(design_)),
      training_(recipe::make_training(design_, {setup.backend, store_, communicator_})),
      slots_(input_slots(*training_, setup.training.layout())),
      evaluator_(make_evaluator(setup, batches_.batch, store_)),
      peak_rate_(optim::effective_rate(config_.optim, communicator_.size(), batches_.global_batch())),
      schedule_(config_.optim, peak_rate_, {total_steps_, steps_per_epoch_}),
      groups_(groups_of(store_, config_.optim)),
      optimizer_(config_.optim, groups_.segments, static_cast<std::int64_t>(store_.trainable_values().size()),
                 setup.backend) {
    if (config_.optim.schedule == "plateau" && evaluator_ == nullptr) {
        throw Error(ExitCode::config_invalid, 511,
                    "optim.schedule \"plateau\" needs evaluations, but the split val has no tiles.",
                    "Give the split val some tiles or choose another schedule.");
    }
    draws_.resize(static_cast<std::size_t>(batches_.micro_steps));
    state_.experiment = experiment_text(config_);
    state_.tiles = setup.training.identity();
}

// What a run continues has its frozen parameters written down; a new run freezes what it will load.
std::set<std::string> Trainer::loaded_parameters(const graph::Graph& network) {
    std::string joined;
    if (communicator_.rank() == 0) {
        if (resume_from_.empty()) {
            const fs::path weights = weights_to_load(config_.import_rules, config_.train.init_weights);
            for (const std::string& name : names_that_load(config_.import_rules, weights, network)) {
                joined += name + "\n";
            }
        } else {
            for (const std::string& name : load_run_state(resume_from_ / state_file).frozen)
                joined += name + "\n";
        }
    }
    communicator_.broadcast(joined, 0);
    std::set<std::string> names;
    std::istringstream lines(joined);
    for (std::string name; std::getline(lines, name);) names.insert(name);
    return names;
}

recipe::Design Trainer::frozen_design() {
    recipe::Design design = design_of(setup_, batches_, augmentation_.crop());
    if (config_.model.frozen == "none" && config_.optim.freeze.empty()) return design;
    graph::Graph network = recipe::parameter_graph(design);
    const nets::Frozen frozen =
        nets::freeze(network, config_.model, config_.optim.freeze, loaded_parameters(network));
    state_.frozen = frozen.names;
    design.frozen = {frozen.names.begin(), frozen.names.end()};
    if (!frozen.unloaded.empty() && resume_from_.empty() && communicator_.rank() == 0) {
        log::warning("{} tensors that were to be frozen are not in train.init_weights and are trained: {}{}",
                     frozen.unloaded.size(), frozen.unloaded.front(),
                     frozen.unloaded.size() > 1 ? ", ..." : "");
    }
    return design;
}

RunReport Trainer::plan() const {
    RunReport report;
    report.total_steps = total_steps_;
    report.steps_per_epoch = steps_per_epoch_;
    report.first_step = state_.step;
    report.resumed_from = resumed_from_;
    report.parameters = store_.parameter_count();
    report.peak_rate = peak_rate_;
    report.groups = groups_.matches;
    report.trained_parameters = store_.trainable_count();
    report.memory.parts = {
        {"the program itself", setup_.process_bytes},
        {"parameters and states", store_.parameter_bytes() + store_.state_bytes()},
        {"gradients", store_.gradient_bytes()},
        {"optimizer", optimizer_.bytes()},
        {"training programs", training_->bytes()},
        {"tiles read ahead", data::TileMemory(setup_.training.layout()).bytes() *
                                 static_cast<std::size_t>(batches_.batch * config_.train.prefetch)}};
    if (evaluator_ != nullptr) {
        report.memory.parts.push_back({"evaluation programs", evaluator_->bytes()});
        report.evaluation_protocol = evaluator_->protocol();
    }
    return report;
}

void Trainer::prepare() {
    if (resume_from_.empty()) {
        initialise_weights();
    } else {
        resume(resume_from_);
    }
    const TensorView weights = store_.state("loss.class_weights");
    const std::vector<float> values =
        class_weights(config_.loss.class_weights, data::total_class_pixels(setup_.training), config_.classes);
    setup_.backend.copy_to_device(weights.data, reinterpret_cast<const std::byte*>(values.data()),
                                  weights.bytes());

    require_equal_parameters(store_, setup_.backend, communicator_);
    training_->parameters_changed();
}

void Trainer::start_feeding() {
    feeder_ = std::make_unique<data::Feeder>(setup_.training, order_, batches_.batch,
                                             state_.step * batches_.micro_steps, config_.train.prefetch,
                                             setup_.backend.sample_kernels());
}

void Trainer::load_initial_weights() {
    const fs::path weights = weights_to_load(config_.import_rules, config_.train.init_weights);
    if (weights.empty()) {
        log::warning(
            "there are no weights {}: training starts from random numbers and nothing is frozen "
            "(import.missing = \"warn\").",
            config_.train.init_weights);
        return;
    }
    const fs::path file = model_file_of(weights);
    if (loads_strictly(config_.import_rules, weights)) {
        load_model(file, store_, setup_.backend);
        return;
    }
    const weights::ImportPlan plan = import_model(config_.import_rules, file, store_, setup_.backend);
    for (const std::string& line : plan.lines()) log::info("{}", line);
}

void Trainer::initialise_weights() {
    store_.initialise(config_.runtime.seed);
    if (!config_.train.init_weights.empty()) {
        if (communicator_.rank() == 0) load_initial_weights();
        broadcast_model(store_, setup_.backend, communicator_);
    }
    optimizer_.start_average(store_.trainable_values());
}

// Rank 0 looks and decides; its answer holds for all.
fs::path Trainer::checkpoint_to_resume() {
    std::string found;
    const std::string& wish = config_.train.resume;
    if (communicator_.rank() == 0 && wish != "never") {
        if (wish == "auto") {
            const std::optional<std::int64_t> step = checkpoints_.newest_good();
            if (step) found = checkpoints_.path_of(*step).string();
        } else {
            verify_checkpoint(wish);
            found = wish;
        }
    }
    communicator_.broadcast(found, 0);
    return found;
}

void Trainer::resume(const fs::path& checkpoint) {
    std::string stored;
    if (communicator_.rank() == 0) {
        const RunState state = load_run_state(checkpoint / state_file);
        require_same_experiment(state, state_, checkpoint);
        load_model(checkpoint / model_file, store_, setup_.backend);
        load_moments(checkpoint / moments_file, store_, optimizer_, setup_.backend);
        stored = to_json(state);
    }
    communicator_.broadcast(stored, 0);
    state_ = run_state_from_json(stored, checkpoint.string());
    broadcast_model(store_, setup_.backend, communicator_);
    broadcast_moments(optimizer_, setup_.backend, communicator_);
    optimizer_.exchange_average(store_.trainable_values());  // the model's file holds the average
    saved_step_ = state_.step;
    resumed_from_ = checkpoint.string();
}

// Rank 0 writes, the others wait for its verdict, and all act on it alike.
void Trainer::save(SaveFailure on_failure) {
    std::string verdict;
    if (communicator_.rank() == 0) {
        try {
            write_checkpoint();
        } catch (const Error& error) {
            verdict = error.message() + " " + error.fix();
        }
    }
    communicator_.broadcast(verdict, 0);
    if (verdict.empty()) {
        saved_step_ = state_.step;
        setup_.observer.on_checkpoint(state_.step);
        return;
    }
    const std::string message =
        fmt::format("the checkpoint of step {} was not saved: {}", state_.step, verdict);
    switch (on_failure) {
        case SaveFailure::raise:
            throw Error(
                ExitCode::io_error, 612, message + " Earlier checkpoints are intact.",
                "Free some space and run the same command again: it continues from the last checkpoint.");
        case SaveFailure::warn:
            // Training goes on: the next save may succeed, and stopping now would lose the steps since the
            // last one.
            if (communicator_.rank() == 0) log::warning("{} Training goes on.", message);
            break;
    }
}

void Trainer::write_checkpoint() {
    checkpoints_.publish(state_.step, [&](const fs::path& folder) {
        const optim::AveragedWeights averaged(optimizer_, store_.trainable_values());
        save_model(folder / model_file, store_, setup_.backend, description_of(setup_, augmentation_.crop()));
        save_moments(folder / moments_file, store_, optimizer_, setup_.backend);
        save_run_state(folder / state_file, state_);
    });
    checkpoints_.link("last", state_.step);
    if (state_.best_step == state_.step || evaluator_ == nullptr) checkpoints_.link("best", state_.step);
    checkpoints_.prune(config_.checkpoint.keep);
}

}  // namespace terrane::train
