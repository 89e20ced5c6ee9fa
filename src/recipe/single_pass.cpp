#include "graph/one_rank.hpp"
#include "graph/split.hpp"
#include "recipe/loss_ledger.hpp"
#include "recipe/recipe.hpp"

namespace terrane::recipe {

namespace {

graph::Program program_of(const Design& design, const Machine& machine, int input_slots = 1) {
    graph::Graph graph = parameter_graph(design);
    if (design.features == Features::given) graph = graph::split_at_frozen(graph).rest;
    if (machine.collectives.size() == 1) graph::leave_out_exchange(graph);
    return {graph::plan_program(std::move(graph), machine.backend, design.plan), machine.backend,
            machine.store, machine.collectives, input_slots};
}

class SinglePassTraining final : public Training {
  public:
    SinglePassTraining(const Design& design, const Machine& machine)
        : program_(program_of(design, machine, design.input_slots)),
          micro_steps_(design.micro_steps),
          losses_(machine.backend, design.micro_steps) {}

    TensorView input(const std::string& name) const override { return program_.input(name); }
    int input_slots() const override { return program_.input_slots(); }
    TensorView input_of_slot(const std::string& name, int slot) const override {
        return program_.input(name, slot);
    }
    std::int64_t updates() const override { return 1; }
    std::int64_t most_passes() const override { return micro_steps_; }
    /// An update changes the trained parameters only; frozen ones stay packed.
    void parameters_changed() override {
        using Changed = graph::Program::Changed;
        program_.parameters_changed(updating_ ? Changed::trained : Changed::all);
    }
    std::size_t bytes() const override { return program_.bytes() + losses_.bytes(); }
    std::vector<Part> parts() override { return {{"", &program_, micro_steps_}}; }

    void run(const MiniBatch& batch) override {
        const auto look_ahead = [&](std::int64_t micro_step) {
            if (batch.look_ahead) batch.look_ahead(micro_step);
        };
        for (std::int64_t m = 0; m < batch.micro_steps; ++m) {
            program_.choose_inputs(batch.fill(m));
            program_.run_training(batch.state(m, batch.step), batch.place(m));
            program_.total_losses(losses_.of_pass(m));
            if (batch.shard_done) batch.shard_done(m, losses_.wait_for(m, 1));
            if (m + 1 < batch.micro_steps) look_ahead(m);
        }
        updating_ = true;
        batch.update(losses_.of_first(batch.micro_steps));
        updating_ = false;
        look_ahead(batch.micro_steps - 1);
    }

  private:
    graph::Program program_;
    std::int64_t micro_steps_;
    LossLedger losses_;
    bool updating_ = false;
};

class SinglePassInference final : public Inference {
  public:
    SinglePassInference(const Design& design, const Machine& machine)
        : program_(program_of(design, machine)) {}

    TensorView input(const std::string& name) const override { return program_.input(name); }
    void run(std::uint64_t seed, std::span<const std::int64_t>) override {
        program_.run_forward({.seed = seed});
    }
    TensorView probabilities() const override { return program_.output("probabilities"); }
    TensorView classes() const override { return program_.output("classes"); }
    graph::LossTotals losses() const override { return program_.losses(); }
    void parameters_changed() override { program_.parameters_changed(); }
    std::size_t bytes() const override { return program_.plan().bytes(); }

  private:
    graph::Program program_;
};

}  // namespace

std::unique_ptr<Training> make_single_pass_training(const Design& design, const Machine& machine) {
    return std::make_unique<SinglePassTraining>(design, machine);
}
std::unique_ptr<Inference> make_single_pass_inference(const Design& design, const Machine& machine) {
    return std::make_unique<SinglePassInference>(design, machine);
}

}  // namespace terrane::recipe
