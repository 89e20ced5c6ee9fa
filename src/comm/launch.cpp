#include "comm/launch.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "base/error.hpp"
#include "comm/node_list.hpp"

namespace terrane::comm {

namespace {

constexpr int default_port = 29500;  // torchrun's
constexpr int ports_on_one_host = 32;
constexpr int ports_beside_torchrun = 8;

std::optional<int> parse_number(const std::string& text) {
    int value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

std::optional<int> number(const Environment& environment, const std::string& name) {
    const auto text = environment(name);
    return text ? parse_number(*text) : std::nullopt;
}

[[noreturn]] void refuse(int error, const std::string& message, const std::string& fix) {
    throw Error(ExitCode::device_unavailable, error, message, fix);
}

// A variable that has to be there and to be a number.
int needed(const Environment& environment, const std::string& name, const std::string& together_with) {
    const auto text = environment(name);
    if (!text) {
        refuse(123, fmt::format("{} is set, but {} is not.", together_with, name),
               fmt::format("Set both on every rank, or neither; --launcher none starts one rank alone."));
    }
    const auto value = parse_number(*text);
    if (!value) {
        refuse(123, fmt::format("the variable {} is \"{}\", which is no number.", name, *text),
               "Set it to this process' number.");
    }
    return *value;
}

struct Url {
    std::string launcher;  // what it implies
    std::string host;
    int port = 0;
    std::string file{};
};

Url parse_url(const std::string& text) {
    if (text.empty()) return {};
    if (text == "env://") return {"env", "", 0};
    if (text == "mpi://") return {"mpi", "", 0};
    if (text.starts_with("tcp://")) {
        const std::string place = text.substr(6);
        const std::size_t colon = place.rfind(':');
        const int port = colon == std::string::npos ? 0 : parse_number(place.substr(colon + 1)).value_or(0);
        std::string host = place.substr(0, colon);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        if (!host.empty() && port > 0 && port < 65536) return {"env", host, port};
    }
    // A path from the root, as ranks may be started in different folders.
    if (text.starts_with("file:///") && text.size() > 8 && !text.ends_with('/'))
        return {"env", "", 0, text.substr(7)};
    throw Error(ExitCode::usage, 103,
                fmt::format("--dist-url takes env://, tcp://HOST:PORT, file:///PATH or mpi://, but was given "
                            "\"{}\".",
                            text),
                "Example: --dist-url tcp://10.0.0.1:29500.");
}

// Where the ranks meet.
void set_master(Launch& launch, const Environment& environment, const LaunchRequest& request, const Url& url,
                const std::string& default_host, std::optional<int> default_of_job) {
    launch.meeting_file = url.file;
    launch.master_host = !url.host.empty() ? url.host : environment("MASTER_ADDR").value_or(default_host);
    int port = url.port != 0 ? url.port : request.master_port;
    for (const char* name : {"MASTER_PORT", "PORT"}) {
        if (port != 0) break;
        if (const auto text = environment(name)) {
            port = parse_number(*text).value_or(0);
            if (port < 1 || port > 65535) {
                refuse(123, fmt::format("the variable {} is \"{}\", which is no TCP port.", name, *text),
                       "Set a port from 1024 to 65535, or give --master-port.");
            }
        }
    }
    launch.master_port = port != 0 ? port : default_of_job.value_or(default_port);
    const bool one_host = launch.master_host == "localhost" || launch.master_host.starts_with("127.") ||
                          launch.master_host == "::1";
    if (!url.file.empty()) return;
    if (port == 0 && one_host) launch.ports = ports_on_one_host;
    // Where torchrun's own store sits on MASTER_PORT, the ranks meet on one of the next ports.
    if (environment("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True" && url.port == 0 &&
        request.master_port == 0) {
        ++launch.master_port;
        launch.ports = ports_beside_torchrun;
    }
}

void check_rank(const Launch& launch, const std::string& rank_name, const std::string& size_name) {
    if (launch.promised_ranks < 1)
        refuse(123, fmt::format("{} is 0.", size_name), "Set it to the number of ranks.");
    if (launch.promised_rank < launch.promised_ranks) return;
    refuse(123,
           fmt::format("{} is {}, but {} is {}: ranks count from 0 to {}.", rank_name, launch.promised_rank,
                       size_name, launch.promised_ranks, launch.promised_ranks - 1),
           "Number the ranks from 0 without gaps.");
}

Launch from_environment(const Environment& environment, const LaunchRequest& request, const Url& url) {
    Launch launch{.launcher = Launcher::environment, .source = "RANK and WORLD_SIZE"};
    launch.promised_ranks =
        needed(environment, "WORLD_SIZE", environment("RANK") ? "RANK" : "--launcher env");
    launch.promised_rank = needed(environment, "RANK", "WORLD_SIZE");
    check_rank(launch, "RANK", "WORLD_SIZE");
    launch.local_rank = environment("LOCAL_RANK") ? needed(environment, "LOCAL_RANK", "RANK") : -1;
    set_master(launch, environment, request, url, "127.0.0.1", std::nullopt);
    return launch;
}

Launch from_slurm(const Environment& environment, const LaunchRequest& request, const Url& url) {
    Launch launch{.launcher = Launcher::slurm, .source = "--launcher slurm, SLURM_PROCID"};
    const char* const size_name =
        environment("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
    launch.promised_rank = needed(environment, "SLURM_PROCID", "--launcher slurm");
    launch.promised_ranks = needed(environment, size_name, "SLURM_PROCID");
    check_rank(launch, "SLURM_PROCID", size_name);
    launch.local_rank = number(environment, "SLURM_LOCALID").value_or(-1);
    std::string first;
    for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"}) {
        const auto list = environment(name);
        if (!list) continue;
        const auto host = first_host(*list);
        if (!host) {
            refuse(123, fmt::format("{} is \"{}\", which is no list of hosts.", name, *list),
                   "Set MASTER_ADDR to the first host of the job.");
        }
        first = *host;
        break;
    }
    if (first.empty() && !environment("MASTER_ADDR") && url.host.empty() && url.file.empty()) {
        refuse(123, "neither SLURM_STEP_NODELIST, SLURM_JOB_NODELIST, SLURM_NODELIST nor MASTER_ADDR is set.",
               "Start the program with srun, or set MASTER_ADDR to the first host of the job.");
    }
    // Jobs that share a host get different ports without anybody's doing.
    const auto job = number(environment, "SLURM_JOB_ID");
    const int step = number(environment, "SLURM_STEP_ID").value_or(0);
    std::optional<int> port;
    if (job) port = default_port + (*job % 1000 * 7 + step % 7) % 7000;
    set_master(launch, environment, request, url, first, port);
    return launch;
}

// One process as a world of ranks: what a script that always says --distributed gets where it starts one.
Launch alone(const Environment& environment, const LaunchRequest& request, const Url& url) {
    Launch launch{.launcher = Launcher::environment, .local_rank = 0, .source = "--distributed"};
    set_master(launch, environment, request, url, "127.0.0.1", std::nullopt);
    return launch;
}

// The MPI launch that the environment shows, if it does.
std::optional<Launch> from_mpi(const Environment& environment) {
    if (const auto size = number(environment, "OMPI_COMM_WORLD_SIZE")) {
        return Launch{.launcher = Launcher::open_mpi,
                      .promised_ranks = *size,
                      .promised_rank = number(environment, "OMPI_COMM_WORLD_RANK").value_or(0),
                      .source = "OMPI_COMM_WORLD_SIZE"};
    }
    const char* const pmi = environment("PMIX_RANK") ? "PMIX_RANK" : "PMI_RANK";
    if (!environment(pmi)) return std::nullopt;
    // Only inside a step started by srun; the batch script itself has no step variables.
    const auto tasks = number(environment, "SLURM_STEP_NUM_TASKS");
    const auto task = number(environment, "SLURM_PROCID");
    if (tasks && task) {
        return Launch{.launcher = Launcher::srun,
                      .promised_ranks = *tasks,
                      .promised_rank = *task,
                      .source = fmt::format("SLURM_STEP_NUM_TASKS with {}", pmi)};
    }
    return Launch{.launcher = Launcher::other,
                  .promised_ranks = number(environment, "PMI_SIZE").value_or(1),
                  .promised_rank = number(environment, pmi).value_or(0),
                  .source = pmi};
}

}  // namespace

Transport transport_of(Launcher launcher) {
    switch (launcher) {
        case Launcher::none:
            return Transport::self;
        case Launcher::open_mpi:
        case Launcher::srun:
        case Launcher::other:
            return Transport::mpi;
        case Launcher::environment:
        case Launcher::slurm:
            return Transport::tcp;
    }
    return Transport::self;
}

std::optional<std::string> environment_variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

namespace {

// As the variables and --launcher say; the options that are checked against it come afterwards.
Launch find_launch(const Environment& environment, const LaunchRequest& request) {
    const Url url = parse_url(request.dist_url);
    std::string launcher = request.launcher == "pytorch" ? "env" : request.launcher;
    if (!url.launcher.empty()) {
        if (launcher == "slurm" && url.launcher == "env" && !(url.host.empty() && url.file.empty())) {
            // Slurm's numbers, the user's meeting place.
        } else if (launcher != "auto" && launcher != url.launcher) {
            throw Error(ExitCode::usage, 107,
                        fmt::format("--dist-url {} and --launcher {} exclude each other.", request.dist_url,
                                    launcher),
                        "Give one of them.");
        } else {
            launcher = url.launcher;
        }
    }
    if (launcher == "none" && request.distributed) {
        throw Error(ExitCode::usage, 107, "--distributed and --launcher none exclude each other.",
                    "Give one of them.");
    }
    if (launcher == "none") return {.source = "--launcher none"};
    if (launcher == "env") return from_environment(environment, request, url);
    if (launcher == "slurm") return from_slurm(environment, request, url);

    auto mpi = from_mpi(environment);
    if (launcher == "mpi") {
        if (mpi) return *mpi;
        return {.launcher = Launcher::other, .source = "--launcher mpi"};
    }
    const auto world_size = number(environment, "WORLD_SIZE");
    if (mpi) {
        if (world_size && *world_size > 1 && *world_size != mpi->promised_ranks) {
            refuse(122,
                   fmt::format("two launchers contradict each other: {} says {} ranks, WORLD_SIZE says {}.",
                               mpi->source, mpi->promised_ranks, *world_size),
                   "Use one of them: --launcher mpi ignores WORLD_SIZE, --launcher env ignores MPI.");
        }
        return *mpi;
    }
    if (environment("WORLD_SIZE") &&
        (!world_size || *world_size != 1 || request.distributed || environment("RANK").value_or("0") != "0"))
        return from_environment(environment, request, url);
    const auto tasks = number(environment, "SLURM_STEP_NUM_TASKS");
    if (tasks && *tasks > 1 && environment("SLURM_PROCID")) {
        refuse(120, fmt::format("srun started {} tasks but MPI sees size 1 on each.", *tasks),
               "Use 'srun --mpi=pmix', or connect the ranks over TCP with --launcher slurm.");
    }
    if (request.distributed) return alone(environment, request, url);
    return {.source = "no launcher's variables"};
}

void check_world_size(const Launch& launch, int world_size) {
    if (world_size == 0 || world_size == launch.promised_ranks) return;
    if (launch.launcher == Launcher::none) {
        refuse(122,
               fmt::format("--world-size {} is given, but nothing started {} ranks: this process is alone.",
                           world_size, world_size),
               fmt::format("Start them: 'mpirun -n {0} terrane ...', 'srun --mpi=pmix -n {0} terrane ...', "
                           "or set RANK on each of {0} processes.",
                           world_size));
    }
    refuse(122,
           fmt::format("{} says {} ranks, --world-size says {}.", launch.source, launch.promised_ranks,
                       world_size),
           fmt::format("Leave the option out, or start {} ranks.", world_size));
}

}  // namespace

Launch detect_launch(const Environment& environment, const LaunchRequest& request) {
    // What torch.distributed.launch and scripts like it give as options stands in for the variables.
    const auto with_options = [&](const std::string& name) -> std::optional<std::string> {
        auto value = environment(name);
        if (value) return value;
        if (name == "WORLD_SIZE" && request.world_size > 0 && environment("RANK"))
            return std::to_string(request.world_size);
        if (name == "LOCAL_RANK" && request.local_rank >= 0) return std::to_string(request.local_rank);
        return value;
    };
    Launch launch = find_launch(with_options, request);
    check_world_size(launch, request.world_size);
    if (launch.local_rank >= 0) check_local_rank(request, launch.local_rank);
    return launch;
}

void check_local_rank(const LaunchRequest& request, int counted) {
    if (request.local_rank < 0 || request.local_rank == counted) return;
    refuse(122,
           fmt::format("the launcher gave this process the local rank {}, --local-rank says {}.", counted,
                       request.local_rank),
           "Leave the option out: the local rank is known without it.");
}

void check_promise(const Launch& launch, int mpi_size) {
    if (launch.promised_ranks <= mpi_size) return;
    const bool slurm = launch.launcher == Launcher::srun;
    refuse(120,
           fmt::format("{} started {} tasks but MPI sees size {} on each.", describe(launch.launcher),
                       launch.promised_ranks, mpi_size),
           slurm ? "Use 'srun --mpi=pmix'."
                 : "The launcher belongs to another MPI than the program: use the mpirun that 'terrane "
                   "doctor' names.");
}

std::string describe(Launcher launcher) {
    switch (launcher) {
        case Launcher::none:
            return "no launcher";
        case Launcher::open_mpi:
            return "mpirun";
        case Launcher::srun:
            return "srun";
        case Launcher::other:
            return "a PMI launcher";
        case Launcher::environment:
            return "environment";
        case Launcher::slurm:
            return "srun without MPI";
    }
    return "?";
}

}  // namespace terrane::comm
