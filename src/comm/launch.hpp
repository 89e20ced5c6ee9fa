#pragma once

#include <functional>
#include <optional>
#include <string>

namespace terrane::comm {

enum class Launcher {
    none,      ///< started directly: one rank, MPI is not initialised
    open_mpi,  ///< mpirun or mpiexec of Open MPI
    srun,      ///< Slurm with a PMI that MPI can use
    other,     ///< another launcher that speaks PMI
};

/// What the environment says about how this process was started.
struct Launch {
    Launcher launcher = Launcher::none;
    int promised_ranks = 1;  ///< as many as the launcher says it started
    int promised_rank = 0;   ///< this process among them
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// The environment of this process.
std::optional<std::string> environment_variable(const std::string& name);

/// Reads the launcher's variables. Throws Error E0120 (69) if srun started several tasks without a PMI that
/// would connect them: each would believe to be alone and all would write the same files.
Launch detect_launch(const Environment& environment);

/// Throws Error E0120 (69) if the launcher promised more ranks than MPI sees.
void check_promise(const Launch& launch, int mpi_size);

std::string describe(Launcher launcher);

}  // namespace terrane::comm
