#include "app/backend_choice.hpp"
#include "app/memory_budget.hpp"
#include "app/network_inputs.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "bench/step.hpp"
#include "train/network_setup.hpp"

namespace terrane::app {

namespace {

ExitCode run_bench_step(Invocation& invocation) {
    bench::StepOptions options;
    options.model = nets::completed(invocation.config().model);
    options.loss = invocation.config().loss;
    options.freeze = invocation.config().optim.freeze;
    options.inputs = network_inputs(invocation);
    const std::string precision = invocation.text("precision", invocation.config().train.precision);
    options.compute = train::compute_type(precision);
    options.steps = static_cast<int>(invocation.integer("steps", options.steps));
    options.warm_up = static_cast<int>(invocation.integer("warm-up", options.warm_up));
    options.per_node = invocation.has("per-node");
    options.recompute = graph::recompute_from_name(invocation.config().train.recompute);
    const ChosenBackend backend = choose_backend(invocation, invocation.config().runtime);
    train::enter_precision(*backend, precision);
    const std::optional<std::size_t> device_memory = backend->memory_left();
    options.budget = device_memory ? *device_memory : memory_budget(invocation.config().runtime, 1);

    const std::string command = invocation.command_text();
    if (invocation.has("compare-recompute")) {
        print_line(bench::compare_recompute(*backend, options, command));
        return ExitCode::done;
    }
    print_line(bench::step_json(*backend, options, bench::measure_step(*backend, options), command));
    return ExitCode::done;
}

std::vector<VerbOption> bench_step_options() {
    std::vector<VerbOption> options = network_input_options();
    options.push_back({.name = "precision",
                       .value_name = "fp32|tf32|bf16|fp16",
                       .help = "type of activations (train.precision)"});
    options.push_back({.name = "steps", .value_name = "N", .help = "timed steps"});
    options.push_back({.name = "warm-up", .value_name = "N", .help = "steps before them"});
    options.push_back({.name = "per-node",
                       .argument = Argument::none,
                       .value_name = "",
                       .help = "also the time of every node"});
    options.push_back({.name = "compare-recompute",
                       .argument = Argument::none,
                       .value_name = "",
                       .help = "with and without train.recompute = \"blocks\": time and memory"});
    return options;
}

}  // namespace

extern const Verb bench_step_verb;
const Verb bench_step_verb = {
    .name = "bench step",
    .summary = "time a whole training step on random input; JSON",
    .ranks = Ranks::local,
    .config = ConfigNeed::optional,
    .positional = "",
    .options = bench_step_options(),
    .run = run_bench_step,
};

}  // namespace terrane::app
