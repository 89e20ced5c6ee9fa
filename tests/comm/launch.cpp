#include "comm/launch.hpp"

#include <map>

#include "base/error.hpp"
#include "comm/cores.hpp"
#include "comm/world.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

comm::Environment environment(std::map<std::string, std::string> values) {
    return [values](const std::string& name) {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
}

}  // namespace

TEST_CASE("the launcher is recognised by its variables", "[comm]") {
    CHECK(comm::detect_launch(environment({})).launcher == comm::Launcher::none);
    const auto mpirun = comm::detect_launch(environment(
        {{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}, {"SLURM_STEP_NUM_TASKS", "2"}}));
    CHECK(mpirun.launcher == comm::Launcher::open_mpi);
    CHECK(mpirun.promised_ranks == 4);
    CHECK(mpirun.promised_rank == 3);
    const auto srun = comm::detect_launch(
        environment({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "5"}, {"PMIX_RANK", "5"}}));
    CHECK(srun.launcher == comm::Launcher::srun);
    CHECK(srun.promised_ranks == 8);
    const auto hydra = comm::detect_launch(environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}}));
    CHECK(hydra.launcher == comm::Launcher::other);
    CHECK(hydra.promised_rank == 1);
    // A batch script, and a single task of srun: one rank without MPI.
    CHECK(comm::detect_launch(environment({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}})).launcher ==
          comm::Launcher::none);
    CHECK(comm::detect_launch(environment({{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}})).launcher ==
          comm::Launcher::none);
    CHECK(comm::detect_launch(environment({{"OMPI_COMM_WORLD_SIZE", "x"}})).launcher == comm::Launcher::none);
}

TEST_CASE("srun without PMI, and a launcher of another MPI, are refused", "[comm]") {
    try {
        comm::detect_launch(environment({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "3"}}));
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(std::string(error.what()) ==
              "error[E0120]: srun started 8 tasks but MPI sees size 1 on each. Use 'srun --mpi=pmix'.");
        CHECK(error.exit_code() == ExitCode::device_unavailable);
    }
    CHECK_THROWS_AS(comm::check_promise({comm::Launcher::open_mpi, 4, 0}, 1), Error);
    CHECK_NOTHROW(comm::check_promise({comm::Launcher::open_mpi, 4, 0}, 4));
    CHECK_NOTHROW(comm::check_promise({}, 1));
}

TEST_CASE("without a launcher there is one rank and every collective is the identity", "[comm]") {
    comm::World world({});
    CHECK(world.size() == 1);
    CHECK(world.library() == "no MPI");
    std::vector<double> values{1, 2};
    world.communicator().sum(std::span<double>(values));
    CHECK(values == std::vector<double>{1, 2});
    CHECK(world.communicator().all_gather("x") == std::vector<std::string>{"x"});
    std::string text = "y";
    world.communicator().broadcast(text, 0);
    CHECK(text == "y");
}

TEST_CASE("a rank alone computes on all cores it may use, unless told otherwise", "[comm]") {
    comm::World world({});
    ::unsetenv("OMP_NUM_THREADS");
    const comm::CoreShare all = comm::share_cores(world, 0);
    CHECK(all.threads == all.cores);
    CHECK(all.threads >= 1);
    CHECK_FALSE(all.widened);
    CHECK(comm::share_cores(world, 3).threads == 3);
    ::setenv("OMP_NUM_THREADS", "5,2", 1);
    CHECK(comm::share_cores(world, 0).threads == 5);
    CHECK(comm::share_cores(world, 3).threads == 3);
    ::unsetenv("OMP_NUM_THREADS");
}

TEST_CASE("an exception becomes a text and an exit code", "[comm]") {
    const auto described = [](const auto& error) {
        return comm::describe_failure(std::make_exception_ptr(error));
    };
    const auto own = described(Error(ExitCode::data_invalid, 203, "a has no CRS.", "Add one."));
    CHECK(own.exit_code == 65);
    CHECK(own.text == "error[E0203]: a has no CRS. Add one.");
    CHECK(described(std::bad_alloc()).text.starts_with("error[E0002]: out of memory."));
    CHECK(described(std::runtime_error("x")).text.starts_with("error[E0001]: internal error: x."));
    CHECK(described(std::runtime_error("x")).exit_code == 1);
    CHECK(described(3).exit_code == 1);
}
