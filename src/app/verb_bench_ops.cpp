#include "app/backend_choice.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "bench/ops.hpp"
#include "train/network_setup.hpp"

namespace terrane::app {

namespace {

std::vector<bench::OpCase> cases_of(const Invocation& invocation, DType compute) {
    const std::string network = invocation.text("network", "resnet18");
    const std::int64_t batch = invocation.integer("batch", 8);
    const std::int64_t crop = invocation.integer("crop", 128);
    const std::int64_t bands = invocation.integer("bands", 3);
    const auto dilated_stage = static_cast<int>(invocation.integer("dilated-stage", 5));
    if (batch < 1 || crop < 32 || bands < 1) {
        throw Error(ExitCode::usage, 103,
                    "bench ops needs batch and bands of at least 1 and a crop of at least 32.");
    }
    if (network == "resnet18") return bench::resnet_cases(18, batch, crop, bands, dilated_stage, compute);
    if (network == "resnet50") return bench::resnet_cases(50, batch, crop, bands, dilated_stage, compute);
    if (network == "assorted") return bench::assorted_cases(batch, crop, compute);
    throw Error(ExitCode::usage, 103, fmt::format("bench ops has no list of ops named '{}'.", network),
                "Use --network resnet18, resnet50 or assorted.");
}

ExitCode run_bench_ops(Invocation& invocation) {
    const std::string precision = invocation.text("precision", "fp32");
    const DType compute = train::compute_type(precision);
    const ChosenBackend backend = choose_backend(invocation, invocation.config().runtime);
    train::enter_precision(*backend, precision);
    const bench::OpsResult result =
        bench::measure_ops(*backend, cases_of(invocation, compute), compute,
                           static_cast<int>(invocation.integer("repetitions", 10)));
    if (invocation.has("floor")) {
        print_line(fmt::format("{:.6f} seconds", result.floor_seconds()));
    } else if (invocation.has("table")) {
        print_text(bench::ops_table(result));
    } else {
        const std::string command = invocation.command_text();
        print_line(bench::ops_json(*backend, result, compute, command));
    }
    return ExitCode::done;
}

std::vector<VerbOption> bench_ops_options() {
    return {
        {.name = "network",
         .value_name = "resnet18|resnet50|assorted",
         .help = "whose convolutions and norms, or an assortment of all ops"},
        {.name = "batch", .value_name = "N", .help = "samples"},
        {.name = "crop", .value_name = "PIXELS", .help = "edge of the samples"},
        {.name = "bands", .value_name = "N", .help = "channels of the input"},
        {.name = "dilated-stage",
         .value_name = "1-5",
         .help = "from this stage on the network dilates instead of striding; 5: never"},
        {.name = "precision", .value_name = "fp32|tf32|bf16|fp16", .help = "type of activations"},
        {.name = "repetitions", .value_name = "N", .help = "the least of so many is reported"},
        {.name = "floor",
         .argument = Argument::none,
         .value_name = "",
         .help = "only the sum over the network: what a step can't be faster than"},
        {.name = "table", .argument = Argument::none, .value_name = "", .help = "a table instead of JSON"},
    };
}

}  // namespace

extern const Verb bench_ops_verb;
const Verb bench_ops_verb = {
    .name = "bench ops",
    .summary = "time single ops forward and backward, in percent of the machine's peak; JSON",
    .ranks = Ranks::local,
    .config = ConfigNeed::optional,
    .positional = "",
    .options = bench_ops_options(),
    .run = run_bench_ops,
};

}  // namespace terrane::app
