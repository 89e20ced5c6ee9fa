#include <sstream>

#include "base/log.hpp"
#include "config/weak_maps.hpp"
#include "graph/summary.hpp"
#include "nets/freezing.hpp"
#include "optim/parameter_groups.hpp"
#include "train/class_weights.hpp"
#include "train/model_files.hpp"
#include "train/model_import.hpp"
#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"
#include "train/trainer.hpp"

/// Trainer's beginning; the training itself is in trainer.cpp, checkpoints are in trainer_saving.cpp.
namespace terrane::train {

namespace fs = std::filesystem;

namespace {

recipe::Design design_of(const TrainingSetup& setup, const data::BatchPlan& batches, std::int64_t crop) {
    const config::Config& config = setup.config;
    nets::NetworkInputs inputs = network_inputs(setup.training.layout(), batches.batch, crop);
    inputs.background = config::background_index(config.classes);
    return {.model = config.model,
            .loss = config.loss,
            .inputs = inputs,
            .task = nets::Task::train,
            .compute = compute_type(config.train.precision),
            .plan = {.recompute = graph::recompute_from_name(config.train.recompute)},
            .micro_steps = batches.micro_steps,
            // Kept features and shards go to the one slot there is.
            .input_slots = !setup.backend.shares_host_memory() && setup.features.empty() &&
                                   config.runtime.deterministic != "ranks"
                               ? 2
                               : 1,
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

// The ranks that a run began with: they decide the rate, if ranks do.
std::int64_t ranks_of_run(const std::optional<RunState>& resumed, std::int64_t now) {
    return resumed && resumed->ranks > 0 ? resumed->ranks : now;
}

std::unique_ptr<Evaluator> make_evaluator(const TrainingSetup& setup, std::int64_t training_batch,
                                          graph::ParameterStore& store, device::Collectives& exchange) {
    if (setup.validation == nullptr) return nullptr;
    const std::int64_t batch = setup.config.eval.batch > 0 ? setup.config.eval.batch : training_batch;
    auto evaluator = std::make_unique<Evaluator>(setup.config, *setup.validation, batch, setup.backend, store,
                                                 setup.communicator, &exchange);
    evaluator->keep_predictions(setup.config.report.images);
    return evaluator;
}

}  // namespace

Trainer::Trainer(const TrainingSetup& setup)
    : setup_(setup),
      config_(setup.config),
      communicator_(setup.communicator),
      checkpoints_(setup.checkpoints),
      resume_from_(checkpoint_to_resume()),
      resumed_(state_to_resume()),
      batches_(share_out()),
      sampler_(config_.sampler, config_.runtime.seed, setup.training),
      augmentation_(config_.augment, config_.model.modality_dropout, setup.training.layout(),
                    config_.runtime.seed),
      order_(sampler_, augmentation_, batches_, communicator_.rank()),
      steps_per_epoch_(sampler_.steps_per_epoch(batches_.global_batch())),
      total_steps_(config_.train.steps > 0 ? config_.train.steps : config_.train.epochs * steps_per_epoch_),
      design_(frozen_design()),
      store_(setup.backend, recipe::parameter_graph(design_)),
      training_(recipe::make_training(design_, {setup.backend, store_, exchange_of_passes()})),
      feed_(*training_, setup.training.layout()),
      evaluator_(make_evaluator(setup, batches_.batch, store_, exchange_of_passes())),
      peak_rate_(optim::effective_rate(config_.optim, ranks_of_run(resumed_, communicator_.size()),
                                       batches_.global_batch())),
      schedule_(config_.optim, peak_rate_, {total_steps_, steps_per_epoch_}),
      groups_(groups_of(store_, config_.optim)),
      optimizer_(config_.optim, groups_.segments, static_cast<std::int64_t>(store_.trainable_values().size()),
                 setup.backend, design_.compute == DType::f16),
      good_states_(store_, setup.backend),
      steps_ahead_(!setup.backend.shares_host_memory() && !is_same_on_all_ranks() ? 1 : 0),
      update_(optimizer_, store_, good_states_, setup.backend, exchange_of_updates(), loss_scale_on_device(),
              training_->most_passes(), static_cast<std::size_t>((1 + steps_ahead_) * training_->updates())) {
    if (config_.optim.schedule == "plateau" && evaluator_ == nullptr) {
        throw Error(ExitCode::config_invalid, 511,
                    "optim.schedule \"plateau\" needs evaluations, but the split val has no tiles.",
                    "Give the split val some tiles or choose another schedule.");
    }
    for (QueuedStep& step : steps_) {
        step.draws.resize(static_cast<std::size_t>(batches_.micro_steps));
        step.losses.resize(step.draws.size());
    }
    if (communicator_.rank() == 0) snapshot_ = std::make_unique<Snapshot>(store_, optimizer_, setup.backend);
    if (is_same_on_all_ranks()) {
        shard_losses_ = setup.backend.allocate(2 * sizeof(double));
        shards_ = std::make_unique<VirtualShards>(batches_.micro_steps, store_, good_states_, setup.backend,
                                                  communicator_);
    }
    state_.experiment = experiment_text(config_);
    state_.tiles = setup.training.identity();
    state_.ranks = batches_.ranks;
    state_.batch = batches_.batch;
    state_.micro_steps = batches_.micro_steps;
}

device::Collectives& Trainer::exchange_of_passes() {
    if (is_same_on_all_ranks()) return alone_;
    if (setup_.device_sums != nullptr) return *setup_.device_sums;
    return communicator_;
}

device::Collectives& Trainer::exchange_of_updates() {
    if (setup_.device_sums != nullptr) return *setup_.device_sums;
    return communicator_;
}

float* Trainer::loss_scale_on_device() const {
    if (design_.compute != DType::f16) return nullptr;
    return reinterpret_cast<float*>(store_.state(graph::loss_scale_state).data);
}

// Which samples make up a micro-step decides what batch norm sees, so a run that goes on with other ranks
// keeps to what it began with, if it can.
data::BatchPlan Trainer::share_out() {
    const std::int64_t ranks = communicator_.size();
    const std::string norm = nets::completed(config_.model).norm;
    if (is_same_on_all_ranks()) {
        const auto refuse = [](const std::string& setting, const std::string& fix) {
            throw Error(ExitCode::config_invalid, 509,
                        fmt::format("--deterministic=ranks can't be had with {}.", setting), fix);
        };
        if (norm == "sync_batch") {
            refuse("model.norm \"sync_batch\": the statistics are those of a shard",
                   "Set model.norm = \"batch\" or \"group\".");
        }
        if (config_.optim.lr_scale == "linear_world") {
            refuse("optim.lr_scale \"linear_world\"", "Set optim.lr_scale = \"none\" or \"linear_batch\".");
        }
        return data::plan_shards(config_.train, ranks);
    }
    if (!resumed_ || resumed_->ranks == 0 || resumed_->ranks == ranks)
        return data::plan_batches(config_.train, ranks);
    const data::BatchPlan before{resumed_->ranks, resumed_->batch, resumed_->micro_steps};
    const auto groups = norm == "sync_batch" ? data::KeptGroups::all_ranks : data::KeptGroups::per_rank;
    const std::optional<data::BatchPlan> kept = data::plan_continuation(config_.train, ranks, before, groups);
    const data::BatchPlan plan = kept ? *kept : data::plan_batches(config_.train, ranks);
    if (communicator_.rank() == 0) {
        log::info(
            "ranks {} instead of {}: {} samples per rank and micro-step instead of {}, {} micro-steps "
            "instead "
            "of {}; the order of the samples stays",
            ranks, before.ranks, plan.batch, before.batch, plan.micro_steps, before.micro_steps);
        if (!kept && norm != "group")
            log::warning("batch norm sees other groups of samples than before: results will differ a little");
    }
    return plan;
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
            for (const std::string& name : resumed_->frozen) joined += name + "\n";
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
    if (!setup_.features.empty()) {
        FeatureCache::require_constant_samples(config_, augmentation_.crop(), setup_.training.layout().edge);
        design.features = recipe::Features::given;
    }
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
    for (const recipe::Part& part : training_->parts()) {
        for (const std::size_t bytes : graph::bucket_bytes(part.program->plan()))
            report.buckets.push_back(bytes);
    }
    for (const graph::ParameterStore::Entry& entry : store_.entries()) {
        if (entry.trainable == graph::Trainable::no) report.without_gradient.push_back(entry.name);
    }
    report.memory.parts = {{"the program itself", setup_.process_bytes, MemoryPlan::Place::host},
                           {"parameters and states", store_.parameter_bytes() + store_.state_bytes()},
                           {"gradients", store_.gradient_bytes()},
                           {"optimizer", optimizer_.bytes() + good_states_.bytes() + update_.bytes()},
                           {"sums over shards", shards_ ? shards_->bytes() : 0},
                           {"training programs", training_->bytes()},
                           {"tiles read ahead",
                            data::TileMemory(setup_.training.layout()).bytes() *
                                static_cast<std::size_t>(batches_.batch * config_.train.prefetch),
                            MemoryPlan::Place::host}};
    if (snapshot_ != nullptr) {
        report.memory.parts.push_back({"copy for checkpoints", snapshot_->bytes(), MemoryPlan::Place::host});
        report.checkpoint_bytes = static_cast<std::int64_t>(snapshot_->bytes());
    }
    report.checkpoint_seconds = save_seconds_;
    report.leftovers = room_.leftovers;
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

    optimizer_.begin(state_.step * training_->updates() - state_.skipped, loss_scale_);
    hand_out_loss_scale();
    require_equal_parameters(store_, setup_.backend, communicator_);
    training_->parameters_changed();
    if (!setup_.features.empty()) {
        features_ = std::make_unique<FeatureCache>(FeatureCache::Setup{config_, setup_.training,
                                                                       setup_.backend, communicator_, store_,
                                                                       design_, *training_, setup_.features});
    }
    good_states_.keep();
}

void Trainer::hand_out_loss_scale() {
    float* const place = loss_scale_on_device();
    if (place == nullptr) return;
    const auto value = static_cast<float>(loss_scale_.value);
    setup_.backend.copy_to_device(reinterpret_cast<std::byte*>(place),
                                  reinterpret_cast<const std::byte*>(&value), sizeof(value));
}

void Trainer::start_feeding() {
    feed_.start(std::make_unique<data::Feeder>(setup_.training, order_, batches_.batch,
                                               state_.step * batches_.micro_steps, config_.train.prefetch,
                                               setup_.backend.sample_kernels()));
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

}  // namespace terrane::train
