#include <fmt/format.h>

#include "app/backend_choice.hpp"
#include "app/memory_budget.hpp"
#include "app/network_inputs.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "graph/freeze.hpp"
#include "graph/summary.hpp"
#include "nets/freezing.hpp"
#include "recipe/planned_memory.hpp"
#include "train/network_setup.hpp"

namespace terrane::app {

namespace {

double mebibytes(std::size_t bytes) {
    return static_cast<double>(bytes) / (1 << 20);
}

void print_layers(const graph::ProgramPlan& plan) {
    print_line(fmt::format("{:<40} {:<22} {:<20} {:>11} {:>9}  {}", "layer", "op", "output", "parameters",
                           "GFLOP", "runs as"));
    for (const graph::LayerRow& row : graph::layer_rows(plan)) {
        print_line(fmt::format("{:<40} {:<22} {:<20} {:>11} {:>9.3f}  {}", row.name, row.op,
                               row.output.text(), row.parameters, row.flops * 1e-9, row.implementation));
    }
}

void print_memory(const recipe::PlannedMemory& memory, const graph::ProgramPlan& plan) {
    const auto row = [](const char* what, std::size_t bytes) {
        print_line(fmt::format("  {:<44} {:>10.1f} MiB", what, mebibytes(bytes)));
    };
    const graph::MemoryTable table = graph::memory_table(plan, 0);
    print_line("memory of one rank");
    row("parameters", memory.parameters);
    row("gradients", memory.gradients);
    row("optimizer moments", memory.moments);
    row("states", memory.states);
    row("packed weights", table.packed);
    row("input slots", table.inputs);
    row("arena (activations, gradients, workspace)", table.arena);
    row("  least possible arena (live bytes)", table.arena_bound);
    // A network that recurs runs further programs beside the one whose layers are shown.
    const std::size_t others = memory.programs - plan.bytes();
    if (others > 0) row("programs of the other passes", others);
    row("total", memory.total());
}

ExitCode run_inspect(Invocation& invocation) {
    config::Config config = invocation.config();
    config.model.name = invocation.text("model", config.model.name);
    config.model = nets::completed(config.model);
    const nets::NetworkInputs inputs = network_inputs(invocation);
    const DType compute = train::compute_type(config.train.precision);
    const int moments = (config.optim.name == "sgd" ? 1 : 2) + (config.optim.ema_decay > 0 ? 1 : 0);
    const ChosenBackend backend = choose_backend(invocation, config.runtime);
    train::enter_precision(*backend, config.train.precision);
    const graph::Recompute recompute = graph::recompute_from_name(config.train.recompute);
    recipe::Design design{.model = config.model,
                          .loss = config.loss,
                          .inputs = inputs,
                          .compute = compute,
                          .plan = {.recompute = recompute},
                          .crop = inputs.height};
    if (config.model.frozen != "none" || !config.optim.freeze.empty()) {
        graph::Graph network = recipe::parameter_graph(design);
        const nets::Frozen frozen = nets::freeze(network, config.model, config.optim.freeze, std::nullopt);
        design.frozen = {frozen.names.begin(), frozen.names.end()};
    }

    const graph::ProgramPlan plan =
        graph::plan_program(recipe::parameter_graph(design), *backend, design.plan);
    const graph::TrainableCount count = graph::count_trainable(plan.graph);
    print_layers(plan);
    const double flops = graph::forward_flops(plan);
    print_line(fmt::format("\n{} {}  {} classes  batch {} of {} x {}  {}  on {}", config.model.name,
                           config.model.encoder, inputs.classes, inputs.batch, inputs.width, inputs.height,
                           config.train.precision, backend->description()));
    print_line(
        fmt::format("parameters {} (trained {}, frozen or read by no loss {})  forward {:.2f} GFLOP per step "
                    "({:.2f} per sample), training about three times that",
                    count.trainable + count.frozen, count.trainable, count.frozen, flops * 1e-9,
                    flops * 1e-9 / static_cast<double>(inputs.batch)));
    print_memory(recipe::planned_memory(design, *backend, moments), plan);
    if (recompute == graph::Recompute::blocks) {
        const std::size_t without =
            graph::plan_program(recipe::parameter_graph(design), *backend).arena.bytes;
        print_line(
            fmt::format("recomputed blocks: {:.2f} GFLOP run twice; without, the arena would take {:.1f} MiB "
                        "({:.0f} % of it now)",
                        graph::recomputed_flops(plan) * 1e-9, mebibytes(without),
                        100 * static_cast<double>(plan.arena.bytes) / static_cast<double>(without)));
    }
    std::string buckets;
    for (const std::size_t bytes : graph::bucket_bytes(plan))
        buckets += fmt::format(" {:.1f}", mebibytes(bytes));
    print_line(fmt::format("gradient buckets, MiB in order of their reduction:{}", buckets));

    const std::size_t budget = memory_budget(config.runtime, 1);
    print_line(fmt::format("largest batch within {:.0f} MiB: {}", mebibytes(budget),
                           recipe::largest_batch(design, *backend, moments, budget, 4096)));
    return ExitCode::done;
}

std::vector<VerbOption> inspect_options() {
    std::vector<VerbOption> options = network_input_options();
    options.push_back({.name = "model", .value_name = "NAME", .help = "architecture (model.name)"});
    return options;
}

}  // namespace

extern const Verb inspect_verb;
const Verb inspect_verb = {
    .name = "inspect",
    .summary = "network table, parameters, FLOPs, memory plan, buckets, largest batch that fits",
    .ranks = Ranks::local,
    .config = ConfigNeed::optional,
    .positional = "",
    .options = inspect_options(),
    .run = run_inspect,
};

}  // namespace terrane::app
