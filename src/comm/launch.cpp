#include "comm/launch.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "base/error.hpp"

namespace terrane::comm {

namespace {

std::optional<int> number(const Environment& environment, const std::string& name) {
    const auto text = environment(name);
    if (!text) return std::nullopt;
    int value = 0;
    const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (failure != std::errc{} || end != text->data() + text->size() || value < 0) return std::nullopt;
    return value;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Launch detect_launch(const Environment& environment) {
    if (const auto size = number(environment, "OMPI_COMM_WORLD_SIZE")) {
        return {Launcher::open_mpi, *size, number(environment, "OMPI_COMM_WORLD_RANK").value_or(0)};
    }
    // Only inside a step started by srun; the batch script itself has no step variables.
    const auto tasks = number(environment, "SLURM_STEP_NUM_TASKS");
    const auto task = number(environment, "SLURM_PROCID");
    const bool pmi = environment("PMIX_RANK") || environment("PMI_RANK");
    if (tasks && task) {
        if (pmi) return {Launcher::srun, *tasks, *task};
        if (*tasks > 1) {
            throw Error(ExitCode::device_unavailable, 120,
                        fmt::format("srun started {} tasks but MPI sees size 1 on each.", *tasks),
                        "Use 'srun --mpi=pmix'.");
        }
        return {};
    }
    if (pmi) {
        return {Launcher::other, number(environment, "PMI_SIZE").value_or(1),
                number(environment, environment("PMIX_RANK") ? "PMIX_RANK" : "PMI_RANK").value_or(0)};
    }
    return {};
}

void check_promise(const Launch& launch, int mpi_size) {
    if (launch.promised_ranks <= mpi_size) return;
    const bool slurm = launch.launcher == Launcher::srun;
    throw Error(ExitCode::device_unavailable, 120,
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
    }
    return "?";
}

}  // namespace terrane::comm
