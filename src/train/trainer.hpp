#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "comm/communicator.hpp"
#include "config/config.hpp"
#include "data/feeder.hpp"
#include "graph/program.hpp"
#include "optim/optimizer.hpp"
#include "optim/parameter_groups.hpp"
#include "optim/schedule.hpp"
#include "recipe/recipe.hpp"
#include "train/checkpoint_folder.hpp"
#include "train/checkpoint_writer.hpp"
#include "train/divergence.hpp"
#include "train/evaluator.hpp"
#include "train/feature_cache.hpp"
#include "train/input_feed.hpp"
#include "train/model_description.hpp"
#include "train/observer.hpp"
#include "train/run_state.hpp"
#include "train/saved_states.hpp"
#include "train/snapshot.hpp"
#include "train/update.hpp"
#include "train/virtual_shards.hpp"

namespace terrane::train {

/// Everything a training run works with; all of it outlives the Trainer.
struct TrainingSetup {
    const config::Config& config;
    data::TileSource& training;
    data::TileSource* validation;  ///< null: no evaluation, the last checkpoint counts as the best
    device::Backend& backend;
    comm::Communicator& communicator;
    std::filesystem::path checkpoints;  ///< the run's folder `ckpt`
    TrainingObserver& observer;
    std::size_t process_bytes = 0;  ///< resident before training begins; counted in the memory plan
    std::filesystem::path features =
        {};  ///< where FeatureCache keeps what frozen parts give; empty: it is not used
    /// What passes sum with in device memory; null: with the communicator.
    device::Collectives* device_sums = nullptr;
    /// Asked on every rank after each step and between the batches of an evaluation; the ranks stop together
    /// as soon as one says yes.
    std::function<bool()> stop_requested = [] { return false; };
    /// Why, for messages: "USR1".
    std::function<std::string()> stop_cause = [] { return std::string("request"); };
    /// The run stops early enough to have saved its checkpoint by then.
    std::optional<std::chrono::steady_clock::time_point> deadline{};
};

/// Trains a network: one object per run. The step is in trainer.cpp, Trainer::step.
class Trainer {
  public:
    /// Builds the network, plans and allocates all memory. Throws what the parts throw.
    explicit Trainer(const TrainingSetup& setup);

    /// Sets all numbers: fresh, from train.init_weights, or from the checkpoint that train.resume names.
    /// Writes nothing. Collective. Throws Error E0515 if that checkpoint is of another experiment.
    void prepare();

    enum class Outcome { finished, stopped_early };
    /// Trains (after prepare()) until the last step, or until a stop is requested; either way a complete
    /// checkpoint is left. Collective. Throws Error E0520 (80) when loss or gradient were not finite
    /// train.max_bad_steps times in a row, naming the tiles; E0521 (80) when ranks no longer hold the same
    /// parameters; E0612 (74) if the last checkpoint can't be written, E0613 (74) if there is no room for
    /// any.
    Outcome run();

    /// The weights being trained (not their moving average, see optim.ema_decay) and the states.
    const graph::ParameterStore& store() const { return store_; }
    const RunState& state() const { return state_; }
    RunReport plan() const;

  private:
    /// A step on its way: what is known when it is queued.
    struct QueuedStep {
        std::chrono::steady_clock::time_point begin;
        StepReport report;
        std::vector<std::vector<data::SampleDraw>> draws;  ///< per micro-step
        std::vector<double> losses;                        ///< of the micro-steps' last passes
    };

    void step();
    void queue_update(const device::PassLosses& of_passes, double rate);
    device::PassLosses totals_of_shards();
    void finish_step();
    void finish_steps();  ///< all that are queued
    bool finish_update(const Update::Result& result, QueuedStep& step);
    std::optional<GradientSum> time_gradient_sum();  ///< collective
    void skip(const device::UpdateRecord& record, const QueuedStep& step);
    void hand_out_loss_scale();  ///< to the programs
    bool evaluate();             ///< false: a stop came before its end
    void order_faults(const device::PassLosses& losses);
    void change_middle(std::span<float> values, const std::function<float(float)>& change);
    bool wants_to_stop() const;
    void agree_to_stop();
    void start_feeding();
    void initialise_weights();
    void load_initial_weights();  ///< from train.init_weights, on rank 0
    void resume(const std::filesystem::path& checkpoint);
    std::filesystem::path checkpoint_to_resume();
    std::optional<RunState> state_to_resume();
    data::BatchPlan share_out();
    device::Collectives& exchange_of_passes();
    device::Collectives& exchange_of_updates();
    float* loss_scale_on_device() const;  ///< where programs read it; null: nowhere
    bool is_same_on_all_ranks() const { return config_.runtime.deterministic == "ranks"; }
    std::set<std::string> loaded_parameters(const graph::Graph& network);
    recipe::Design frozen_design();
    void start_saving();
    void save();
    void look_after_saving();
    void finish_saving();
    void take_note(SaveResult result);
    bool evaluation_is_due() const;
    bool checkpoint_is_due(bool evaluated) const;
    std::int64_t epoch() const;  ///< of the next step, from 1
    std::vector<MicroStepRecord> records(const QueuedStep& step) const;

    // Declaration order is construction order.
    TrainingSetup setup_;
    const config::Config& config_;
    comm::Communicator& communicator_;
    CheckpointFolder checkpoints_;
    std::filesystem::path resume_from_;  ///< the checkpoint that this run continues; empty: none
    std::optional<RunState> resumed_;    ///< its state
    data::BatchPlan batches_;
    data::Sampler sampler_;
    data::Augmentation augmentation_;
    data::TrainingOrder order_;
    std::int64_t steps_per_epoch_;
    std::int64_t total_steps_;
    RunState state_;
    recipe::Design design_;
    graph::ParameterStore store_;
    device::SingleRank alone_;  ///< what a shard's passes exchange sums with
    std::unique_ptr<recipe::Training> training_;
    InputFeed feed_;
    std::unique_ptr<Evaluator> evaluator_;
    double peak_rate_;  ///< optim.lr after optim.lr_scale
    optim::Schedule schedule_;
    optim::ParameterGroups groups_;
    optim::Optimizer optimizer_;
    device::LossScale loss_scale_;  ///< after the last step that is done
    SavedStates good_states_;       ///< those after the last update that was made
    std::int64_t steps_ahead_;      ///< that may be queued while the next one is prepared: 0 or 1
    Update update_;
    device::Buffer shard_losses_;             ///< of all shards of all ranks
    std::unique_ptr<VirtualShards> shards_;   ///< null: sums over ranks are the message layer's
    std::unique_ptr<FeatureCache> features_;  ///< null where the frozen part is computed in every step
    std::string resumed_from_;
    std::array<QueuedStep, 2> steps_;  ///< by step number: those queued, and one that is prepared
    std::int64_t steps_queued_ = 0;
    double seconds_of_step_ = 0;  ///< of the last one
    std::chrono::steady_clock::time_point step_done_{};
    bool stop_voted_ = false;
    bool stop_agreed_ = false;

    // Saving; all but saved_step_ on rank 0 only.
    std::int64_t saved_step_ = -1;  ///< whose checkpoint is written or being written
    std::unique_ptr<Snapshot> snapshot_;
    std::unique_ptr<CheckpointWriter> writer_;
    CheckpointFolder::Room room_;
    double save_seconds_ = 0;     ///< on every rank: what the next one will take
    double held_seconds_ = 0;     ///< that training stood still for the save whose end is not known yet
    std::int64_t retry_at_ = -1;  ///< step; -1: nothing failed
    std::int64_t retry_after_ = 1;
};

}  // namespace terrane::train
