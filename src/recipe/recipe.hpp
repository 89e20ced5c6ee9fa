#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "graph/program.hpp"
#include "nets/network.hpp"

/// What one mini-batch means for a network: most are trained by one pass and one update and answer in one
/// pass; pkdiff goes through many passes on its own answers, each with an update of its own. Everything
/// around that (feeding, checkpoints, schedule, evaluation, windows) is the same for all and knows only these
/// interfaces.
namespace terrane::recipe {

/// Whether training computes what its frozen part gives, or finds it in input slots of the features' names
/// (graph/split.hpp).
enum class Features { computed, given };

/// What is to be built.
struct Design {
    config::Model model;
    config::Loss loss;
    nets::NetworkInputs inputs;
    nets::Task task = nets::Task::train;
    DType compute = DType::f32;
    graph::PlanOptions plan = {};       ///< of programs that train
    std::int64_t micro_steps = 1;       ///< of a mini-batch, when training
    std::set<std::string> frozen = {};  ///< parameters that are not trained: graph/freeze.hpp
    Features features = Features::computed;
    int input_slots = 1;  ///< sets of inputs, when training; recipes may have fewer: Training::input_slots()
    std::int64_t crop = 0;  ///< edge of the training samples; networks that cut maps cut them as training did
};

/// Where it runs; all of it outlives what is built.
struct Machine {
    device::Backend& backend;
    graph::ParameterStore& store;
    device::Collectives& collectives;
};

/// A graph with all parameters of the design, to make the ParameterStore from.
graph::Graph parameter_graph(const Design& design);

/// Input slots as of nets::build_network: the modalities, "presence" and "labels".
class InputPorts {
  public:
    virtual ~InputPorts() = default;
    virtual TensorView input(const std::string& name) const = 0;
};

/// One mini-batch as the trainer hands it out.
struct MiniBatch {
    std::uint64_t seed = 0;
    std::int64_t step = 0;  ///< mini-batches trained before
    std::int64_t micro_steps = 1, ranks = 1, rank = 0, batch = 1;
    /// Index, within the global batch, of this rank's first sample of a micro-step. Not set: the ranks' parts
    /// of a micro-step lie side by side.
    std::function<std::int64_t(std::int64_t micro_step)> order{};

    /// Brings the samples into an input slot; gives its number.
    std::function<int(std::int64_t micro_step)> fill;
    /// If set, called when a micro-step's work is queued, the update included: the time to bring the next
    /// samples into another slot.
    std::function<void(std::int64_t micro_step)> look_ahead{};
    /// If set, every micro-step is a shard of its own: it begins with new gradients, which are not summed
    /// over the ranks, and ends with this call; what then becomes of them is the callee's part. The totals
    /// are waited for.
    std::function<void(std::int64_t micro_step, const graph::LossTotals&)> shard_done{};
    /// Called when the passes of an update are queued, with where the device finds their losses: as many for
    /// each micro-step, in order; they stay until the next update's passes. Queues a change of parameters.
    std::function<void(const device::PassLosses&)> update;

    std::int64_t first_sample(std::int64_t micro_step) const {
        return order ? order(micro_step) : (micro_step * ranks + rank) * batch;
    }
    device::StepState state(std::int64_t micro_step, std::int64_t update_number) const {
        const std::int64_t first = first_sample(micro_step);
        return {.seed = seed,
                .step = update_number,
                .first_sample = first,
                .pass_first = shard_done ? first : micro_step * ranks * batch,
                .pass_samples = shard_done ? batch : ranks * batch};
    }
    /// Of the `inner`-th of `count` passes of a micro-step.
    graph::MicroStep place(std::int64_t micro_step, std::int64_t inner = 0, std::int64_t count = 1) const {
        if (shard_done) return {.first = inner == 0, .last = false};
        return {.first = micro_step == 0 && inner == 0,
                .last = micro_step + 1 == micro_steps && inner + 1 == count};
    }
};

/// A program of a recipe and how often one mini-batch runs it; for plans and profiles.
struct Part {
    std::string name;  ///< empty if there is no other
    graph::Program* program;
    std::int64_t runs;
};

/// Trains on one mini-batch after another; keeps nothing between them.
class Training : public InputPorts {
  public:
    /// How many sets of inputs there are. input() gives those of slot 0.
    virtual int input_slots() const { return 1; }
    virtual TensorView input_of_slot(const std::string& name, int /*slot*/) const { return input(name); }
    /// Optimizer updates per mini-batch.
    virtual std::int64_t updates() const = 0;
    /// Of any update.
    virtual std::int64_t most_passes() const = 0;
    virtual void run(const MiniBatch& batch) = 0;
    /// To be told after every change of the parameters.
    virtual void parameters_changed() = 0;
    /// Bytes of the programs, beside parameters and optimizer.
    virtual std::size_t bytes() const = 0;
    virtual std::vector<Part> parts() = 0;
};

/// Evaluates (Task::evaluate: counts into the store's state "evaluation.confusion") or predicts.
class Inference : public InputPorts {
  public:
    /// Runs on what the slots hold. `keys`: one number per sample that random draws depend on; equal samples
    /// with equal keys give equal results wherever they are computed.
    virtual void run(std::uint64_t seed, std::span<const std::int64_t> keys) = 0;
    /// Task::predict: [batch, height, width, classes] f32, valid until the next run.
    virtual TensorView probabilities() const = 0;
    /// Task::evaluate: u8 [batch, height, width], the chosen classes, valid until the next run.
    virtual TensorView classes() const = 0;
    /// Task::evaluate: the loss of the last run.
    virtual graph::LossTotals losses() const = 0;
    virtual void parameters_changed() = 0;
    virtual std::size_t bytes() const = 0;
};

std::unique_ptr<Training> make_training(const Design& design, const Machine& machine);
std::unique_ptr<Inference> make_inference(const Design& design, const Machine& machine);

// The two families.
std::unique_ptr<Training> make_single_pass_training(const Design& design, const Machine& machine);
std::unique_ptr<Inference> make_single_pass_inference(const Design& design, const Machine& machine);
std::unique_ptr<Training> make_diffusion_training(const Design& design, const Machine& machine);
std::unique_ptr<Inference> make_diffusion_inference(const Design& design, const Machine& machine);

}  // namespace terrane::recipe
