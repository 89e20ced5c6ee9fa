#pragma once

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
#include "train/evaluator.hpp"
#include "train/feature_cache.hpp"
#include "train/model_description.hpp"
#include "train/observer.hpp"
#include "train/run_state.hpp"

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
    /// Asked on every rank after each step; the ranks stop together as soon as one says yes.
    std::function<bool()> stop_requested = [] { return false; };
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
    /// checkpoint is left. Collective. Throws Error E0520 (80) when the loss
    /// or the gradient is no longer finite, naming the tiles.
    Outcome run();

    /// The weights being trained (not their moving average, see optim.ema_decay) and the states.
    const graph::ParameterStore& store() const { return store_; }
    const RunState& state() const { return state_; }
    RunReport plan() const;

  private:
    enum class SaveFailure { warn, raise };

    void step();
    void update(const graph::LossTotals& local, StepReport& report);
    void evaluate();
    void start_feeding();
    void initialise_weights();
    void load_initial_weights();  ///< from train.init_weights, on rank 0
    void resume(const std::filesystem::path& checkpoint);
    std::filesystem::path checkpoint_to_resume();
    std::set<std::string> loaded_parameters(const graph::Graph& network);
    recipe::Design frozen_design();
    void save(SaveFailure on_failure);
    void write_checkpoint();
    bool evaluation_is_due() const;
    bool checkpoint_is_due(bool evaluated) const;
    std::int64_t epoch() const;  ///< of the next step, from 1
    void note_suspects(std::int64_t micro_step);
    [[noreturn]] void diverged(const char* what);

    // Declaration order is construction order.
    TrainingSetup setup_;
    const config::Config& config_;
    comm::Communicator& communicator_;
    data::BatchPlan batches_;
    data::Sampler sampler_;
    data::Augmentation augmentation_;
    data::TrainingOrder order_;
    std::int64_t steps_per_epoch_;
    std::int64_t total_steps_;
    CheckpointFolder checkpoints_;
    std::filesystem::path resume_from_;  ///< the checkpoint that this run continues; empty: none
    RunState state_;
    recipe::Design design_;
    graph::ParameterStore store_;
    std::unique_ptr<recipe::Training> training_;
    data::InputSlots slots_;
    std::unique_ptr<Evaluator> evaluator_;
    double peak_rate_;  ///< optim.lr after optim.lr_scale
    optim::Schedule schedule_;
    optim::ParameterGroups groups_;
    optim::Optimizer optimizer_;
    std::unique_ptr<FeatureCache> features_;  ///< null where the frozen part is computed in every step
    std::unique_ptr<data::Feeder> feeder_;    ///< made by start_feeding(), at the step where the run begins
    std::string resumed_from_;
    std::int64_t saved_step_ = -1;
    std::int64_t updates_in_step_ = 0;  ///< made of the current mini-batch
    double loss_since_evaluation_ = 0;
    std::int64_t steps_since_evaluation_ = 0;
    bool stop_agreed_ = false;
    std::vector<std::vector<data::SampleDraw>> draws_;  ///< of this mini-batch, per micro-step
    std::string suspects_;  ///< tiles of this rank's batches whose loss is not finite
};

}  // namespace terrane::train
