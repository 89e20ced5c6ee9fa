#pragma once

#include <functional>
#include <optional>
#include <string>

namespace terrane::comm {

enum class Launcher {
    none,         ///< started directly: one rank
    open_mpi,     ///< mpirun or mpiexec of Open MPI
    srun,         ///< Slurm with a PMI that MPI can use
    other,        ///< another launcher that speaks PMI, or MPI because the user asked for it
    environment,  ///< RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT: torchrun, cloud platforms
    slurm,        ///< SLURM_PROCID and SLURM_NTASKS without MPI, because the user asked for it
};

/// How the ranks of a job reach each other.
enum class Transport { self, mpi, tcp };
Transport transport_of(Launcher launcher);

/// What the options say about the launch.
struct LaunchRequest {
    std::string launcher = "auto";  ///< auto, none, mpi, env, pytorch (env by another name), slurm
    int master_port = 0;            ///< --master-port; 0: not given
    std::string dist_url{};         ///< --dist-url: env://, tcp://HOST:PORT, file:///PATH, mpi://; empty: not
                                    ///< given
    bool distributed = false;       ///< --distributed: one rank without a launcher is a world of ranks, too
    int world_size = 0;   ///< --world-size: in place of WORLD_SIZE, or what it has to be; 0: not given
    int local_rank = -1;  ///< --local-rank: in place of LOCAL_RANK, or what it has to be; -1: not given
};

/// How this process was started.
struct Launch {
    Launcher launcher = Launcher::none;
    int promised_ranks = 1;  ///< as many as the launcher says it started
    int promised_rank = 0;   ///< this process among them
    int local_rank = -1;     ///< on its host, if the launcher says so

    // Where the ranks meet, with Transport::tcp.
    std::string master_host{};
    int master_port = 0;
    std::string meeting_file{};  ///< in place of both: rank 0 writes there where it is
    int ports = 1;               ///< how many ports from there on are tried: more than one where nobody chose

    std::string source{};  ///< the variables or the option that decided: "RANK and WORLD_SIZE"
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// The environment of this process.
std::optional<std::string> environment_variable(const std::string& name);

/// Reads the launchers' variables; docs/launching.md has the order. Throws Error 69: E0120 if srun started
/// several tasks without a PMI that would connect them (each would believe to be alone and all would write
/// the same files), E0122 if two launchers, or an option and the launcher, contradict each other, E0123 if
/// variables are missing or malformed; and Error 2: E0103 if an option is malformed, E0107 if options exclude
/// each other.
Launch detect_launch(const Environment& environment, const LaunchRequest& request = {});

/// Throws Error E0120 (69) if the launcher promised more ranks than MPI sees.
void check_promise(const Launch& launch, int mpi_size);

/// Throws Error E0122 (69) if --local-rank was given and is not the local rank `counted` over the ranks of
/// the host.
void check_local_rank(const LaunchRequest& request, int counted);

std::string describe(Launcher launcher);

}  // namespace terrane::comm
