#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "device/collectives.hpp"
#include "graph/parameter_store.hpp"
#include "graph/program_plan.hpp"
#include "graph/recorded_steps.hpp"
#include "graph/staged_collectives.hpp"

namespace terrane::graph {

/// Where within an optimizer step a micro-step stands: the first overwrites gradients, later ones add to
/// them, the last sums them over the ranks.
struct MicroStep {
    bool first = true;
    bool last = true;
};

/// Sum of a step's losses and of its weights on this rank; add both up over ranks and micro-steps, then
/// divide.
struct LossTotals {
    double sum = 0;
    double normaliser = 0;
};

/// A planned graph with memory: runs forward, or forward and backward, without allocating, searching or
/// waiting. Where the backend records, the steps between collectives are recorded in the second run of their
/// kind and replayed from then on.
class Program {
  public:
    /// Allocates what the plan says. `store` must hold the graph's parameters (ParameterStore::adopt is
    /// called here for its states). Backend, store and collectives must outlive the program. `input_slots`:
    /// how many sets of inputs there are; the program reads one while another is filled.
    Program(ProgramPlan plan, device::Backend& backend, ParameterStore& store,
            device::Collectives& collectives, int input_slots = 1);

    /// The place of a named input in a slot; fill it before each run. Throws InternalError for an unknown
    /// name.
    TensorView input(const std::string& name, int slot = 0) const;
    int input_slots() const { return static_cast<int>(slots_.size()); }
    /// Which slot the next runs read.
    void choose_inputs(int slot);
    bool has_input(const std::string& name) const;
    /// A named output; valid until the next run.
    TensorView output(const std::string& name) const;

    /// Which parameters may differ from what plans have seen: all after loading, the trained ones after an
    /// update.
    enum class Changed { all, trained };
    /// Tells plans that the store's parameters have changed.
    void parameters_changed(Changed changed = Changed::all);

    /// Runs all forward steps (of an inference graph, or of a training graph without its backward part).
    void run_forward(const device::StepState& state);

    /// Runs forward and backward. The gradients in the store are sums, not means; after the last micro-step
    /// they are summed over all ranks.
    void run_training(const device::StepState& state, MicroStep micro_step);

    /// This rank's loss of the last run.
    LossTotals losses() const;
    /// The same without waiting: queues that sum and normaliser of the last run are written to two doubles in
    /// device memory.
    void total_losses(double* totals);

    const ProgramPlan& plan() const { return plan_; }
    /// Bytes beside the ParameterStore and the optimizer.
    std::size_t bytes() const { return plan_.bytes() + (slots_.size() - 1) * plan_.input_bytes; }

    /// Seconds spent per node since reset_profile(), forward and backward apart; measured only while enabled.
    struct NodeTime {
        double forward = 0;
        double backward = 0;
    };
    void enable_profile(bool enabled) { profiling_ = enabled; }
    const std::vector<NodeTime>& profile() const { return profile_; }
    double collective_seconds() const { return collective_seconds_; }

  private:
    struct NodeMemory {
        std::vector<TensorView> inputs, outputs;
        std::vector<TensorView> backward_inputs,
            backward_outputs;                ///< null where backward does not need them
        std::vector<TensorView> parameters;  ///< null where an input is no parameter
        std::vector<device::GradientTerms> output_gradients;
        std::vector<device::GradientTarget> input_gradients;
        std::byte* saved = nullptr;
        /// The second forward run, where there is one; backward then finds `saved` here, too.
        std::vector<TensorView> again_inputs, again_outputs;
        std::byte* again_saved = nullptr;
        std::byte* again_workspace = nullptr;
        std::byte* forward_workspace = nullptr;
        std::byte* backward_workspace = nullptr;
        std::byte* persistent = nullptr;
        double* exchange = nullptr;
        std::int64_t forward_exchange = 0, backward_exchange = 0;
        bool is_trained = false;  ///< whether any of the parameters is
    };

    /// What depends on where the inputs lie.
    struct Slot {
        std::vector<NodeMemory> nodes;
        RecordedSteps forward, training[2][2];  ///< training: [first][last]
    };

    TensorView view_of(ValueId id) const;
    /// Another slot's nodes, made from those of the first.
    std::vector<NodeMemory> nodes_of_slot(std::size_t slot) const;
    NodeMemory& node(int index) { return slots_[slot_].nodes[static_cast<std::size_t>(index)]; }
    /// Where a value lies from its block's second forward run on.
    TensorView late_view_of(ValueId id) const;
    void bind_second_run(int node, NodeMemory& memory) const;
    std::byte* block(ProgramPlan::Holds holds, int index) const;
    void bind_nodes();
    void bind_backward(const BackwardStep& step);
    /// Hands plans their changed parameters.
    void announce_parameters(Changed changed);
    /// Writes the step's state to where plans read it.
    void announce(const device::StepState& state);
    const device::StepState* state_on_device() const;
    /// Runs the first `count` steps, recorded where possible; the one behind the last of all is
    /// await_buckets().
    void run_steps(RecordedSteps& recorded, std::size_t count, MicroStep micro_step);
    void run_step(std::size_t position, MicroStep micro_step);
    void await_buckets();
    std::string place_of(std::size_t position) const;  ///< for messages
    /// Whether a step talks to other ranks by way of the host, so that it can't be part of a recording.
    bool is_collective(std::size_t position) const;
    void run(const ForwardStep& step);
    void run(const ExchangeStep& step);
    void run(const BackwardStep& step, MicroStep micro_step);
    void run(const SumTermsStep& step, int position);
    void poison_arena();
    void set_guards(int position);
    void check_guards(int position) const;
    std::byte* guard_of(const ProgramPlan::Block& guarded) const;

    ProgramPlan plan_;
    device::Backend& backend_;
    ParameterStore& store_;
    StagedCollectives collectives_;
    device::Buffer arena_, inputs_, persistent_, state_;
    std::vector<Slot> slots_;
    std::size_t slot_ = 0;      ///< that runs read
    RecordedSteps changes_[2];  ///< what plans make of changed parameters: of all, of the trained ones
    std::vector<device::LossTerm> losses_;
    std::vector<TensorView> gradients_;
    std::vector<std::vector<TensorView>> sum_views_;  ///< per step
    std::vector<device::Collectives::Ticket> tickets_;
    std::size_t forward_steps_ = 0;
    bool profiling_ = false;
    std::vector<NodeTime> profile_;
    double collective_seconds_ = 0;
};

}  // namespace terrane::graph
