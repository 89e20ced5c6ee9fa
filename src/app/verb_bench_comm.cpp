#include "app/backend_choice.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "bench/collective_time.hpp"

namespace terrane::app {

namespace {

ExitCode run_bench_comm(Invocation& invocation) {
    const std::int64_t largest = invocation.integer("largest", 64);
    const std::int64_t repetitions = invocation.integer("repetitions", 10);
    if (largest < 1 || largest > 4096 || repetitions < 1 || repetitions > 100000) {
        throw Error(ExitCode::usage, 103,
                    "bench comm needs --largest from 1 to 4096 MiB and --repetitions from 1 to 100000.");
    }
    const comm::World& world = invocation.world();
    comm::Communicator& ranks = invocation.communicator();
    const std::size_t bytes = static_cast<std::size_t>(largest) << 20;
    const auto times = static_cast<int>(repetitions);
    bench::MeasuredSums measured{bench::measure_sums(ranks, bytes, times), {}};
    const config::Config& config = invocation.config();
    if (world.size() > 1) {
        const DeviceChoice choice = agree_on_device(invocation, config.runtime);
        if (choice.device == "cuda") {
            const ChosenBackend backend = open_backend(invocation, config.runtime, choice);
            const DeviceSums sums(invocation, config, *backend);
            if (sums.get() != nullptr)
                measured.device = bench::measure_queued_sums(*backend, *sums.get(), ranks, bytes, times);
        }
    }
    if (world.rank() == 0) {
        print_line(bench::collectives_json(measured, world.size(), world.nodes(), world.library(),
                                           invocation.command_text()));
    }
    return ExitCode::done;
}

}  // namespace

extern const Verb bench_comm_verb;
const Verb bench_comm_verb = {
    .name = "bench comm",
    .summary = "time and bandwidth of gradient sums over the ranks, by size, with GPUs also by NCCL; JSON",
    .ranks = Ranks::all,
    .config = ConfigNeed::optional,
    .positional = "",
    .options = {{.name = "largest", .value_name = "MIB", .help = "largest payload (64)"},
                {.name = "repetitions", .value_name = "N", .help = "per size (10)"}},
    .run = run_bench_comm,
};

}  // namespace terrane::app
