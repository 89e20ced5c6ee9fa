#include "comm/launch.hpp"

#include <map>

#include "base/error.hpp"
#include "comm/cores.hpp"
#include "comm/node_list.hpp"
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
              "error[E0120]: srun started 8 tasks but MPI sees size 1 on each. Use 'srun --mpi=pmix', or "
              "connect "
              "the ranks over TCP with --launcher slurm.");
        CHECK(error.exit_code() == ExitCode::device_unavailable);
    }
    const comm::Launch four{.launcher = comm::Launcher::open_mpi, .promised_ranks = 4};
    CHECK_THROWS_AS(comm::check_promise(four, 1), Error);
    CHECK_NOTHROW(comm::check_promise(four, 4));
    CHECK_NOTHROW(comm::check_promise({}, 1));
}

TEST_CASE("without MPI the ranks are numbered by the environment, and MPI goes before it", "[comm]") {
    const std::map<std::string, std::string> torchrun{{"RANK", "3"},
                                                      {"WORLD_SIZE", "4"},
                                                      {"LOCAL_RANK", "1"},
                                                      {"MASTER_ADDR", "node1"},
                                                      {"MASTER_PORT", "1234"}};
    const comm::Launch launch = comm::detect_launch(environment(torchrun));
    CHECK(launch.launcher == comm::Launcher::environment);
    CHECK(launch.promised_ranks == 4);
    CHECK(launch.promised_rank == 3);
    CHECK(launch.local_rank == 1);
    CHECK(launch.master_host == "node1");
    CHECK(launch.master_port == 1234);
    CHECK(launch.ports == 1);
    CHECK(launch.source == "RANK and WORLD_SIZE");
    auto both = torchrun;
    both["SLURM_PROCID"] = "7";
    both["SLURM_STEP_NUM_TASKS"] = "8";
    CHECK(comm::detect_launch(environment(both)).promised_rank == 3);
    both["OMPI_COMM_WORLD_SIZE"] = "4";
    both["OMPI_COMM_WORLD_RANK"] = "2";
    CHECK(comm::detect_launch(environment(both)).launcher == comm::Launcher::open_mpi);
    CHECK(comm::detect_launch(environment(both)).promised_rank == 2);
    CHECK(comm::detect_launch(environment({{"RANK", "0"}, {"WORLD_SIZE", "1"}})).launcher ==
          comm::Launcher::none);
    const auto alone =
        comm::detect_launch(environment({{"RANK", "0"}, {"WORLD_SIZE", "1"}}), {.launcher = "env"});
    CHECK(alone.launcher == comm::Launcher::environment);
    CHECK(alone.promised_ranks == 1);
    CHECK(comm::detect_launch(environment(torchrun), {.launcher = "none"}).launcher == comm::Launcher::none);
}

TEST_CASE("the port comes from the URL, the option, MASTER_PORT, PORT, or is searched on one host",
          "[comm]") {
    std::map<std::string, std::string> variables{{"RANK", "0"}, {"WORLD_SIZE", "2"}};
    const auto launch = [&](const comm::LaunchRequest& request = {}) {
        return comm::detect_launch(environment(variables), request);
    };
    CHECK(launch().master_host == "127.0.0.1");
    CHECK(launch().master_port == 29500);
    CHECK(launch().ports > 1);
    variables["PORT"] = "4000";
    CHECK(launch().master_port == 4000);
    CHECK(launch().ports == 1);
    variables["MASTER_PORT"] = "5000";
    CHECK(launch().master_port == 5000);
    CHECK(launch({.master_port = 6000}).master_port == 6000);
    const auto url = launch({.master_port = 6000, .dist_url = "tcp://[::1]:7000"});
    CHECK(url.master_host == "::1");
    CHECK(url.master_port == 7000);
    variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";  // torchrun's own store sits on that port
    CHECK(launch().master_port == 5001);
    CHECK(launch().ports > 1);
    variables["MASTER_PORT"] = "70000";
    CHECK_THROWS_WITH(launch(), terrane::test::contains("E0123") && terrane::test::contains("MASTER_PORT"));
    variables = {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "node1"}};
    CHECK(launch().ports == 1);  // other hosts could not know which
    for (const char* wrong :
         {"tcp://node1", "tcp://:1", "tcp://node1:x", "file://", "file://x", "file:///x/", "node1:1"})
        CHECK_THROWS_WITH(launch({.dist_url = wrong}), terrane::test::contains("E0103"));
    CHECK_THROWS_WITH(launch({.launcher = "mpi", .dist_url = "env://"}), terrane::test::contains("E0107"));
    CHECK(launch({.dist_url = "file:///shared/meeting"}).meeting_file == "/shared/meeting");
    CHECK(launch({.dist_url = "file:///shared/meeting"}).launcher == comm::Launcher::environment);
}

TEST_CASE("launchers that contradict each other or say too little are refused", "[comm]") {
    const auto error = [](std::map<std::string, std::string> variables,
                          const std::string& launcher = "auto") {
        try {
            comm::detect_launch(environment(std::move(variables)), {.launcher = launcher});
        } catch (const Error& caught) {
            return std::pair(caught.number(), std::string(caught.what()));
        }
        return std::pair(0, std::string());
    };
    const auto nested = error({{"OMPI_COMM_WORLD_SIZE", "2"}, {"WORLD_SIZE", "8"}, {"RANK", "1"}});
    CHECK(nested.first == 122);
    CHECK_THAT(nested.second,
               terrane::test::contains("OMPI_COMM_WORLD_SIZE says 2 ranks, WORLD_SIZE says 8"));
    CHECK(error({{"OMPI_COMM_WORLD_SIZE", "2"}, {"WORLD_SIZE", "8"}, {"RANK", "1"}}, "mpi").first == 0);
    CHECK(error({{"WORLD_SIZE", "8"}}).first == 123);
    CHECK(error({{"WORLD_SIZE", "8"}, {"RANK", "8"}}).first == 123);
    CHECK(error({{"WORLD_SIZE", "8"}, {"RANK", "-1"}}).first == 123);
    CHECK(error({{"WORLD_SIZE", "eight"}, {"RANK", "1"}}).first == 123);
    CHECK(error({{"WORLD_SIZE", "0"}, {"RANK", "0"}}).first == 123);
    CHECK(error({{"RANK", "0"}}, "env").first == 123);
    CHECK(error({}, "slurm").first == 123);
    CHECK(error({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}}, "slurm").first == 123);
}

TEST_CASE("options about the launch fill in for variables, and are refused where they contradict them",
          "[comm]") {
    const auto launch = [](std::map<std::string, std::string> variables, const comm::LaunchRequest& request) {
        return comm::detect_launch(environment(std::move(variables)), request);
    };
    const auto error = [&](std::map<std::string, std::string> variables, const comm::LaunchRequest& request) {
        try {
            launch(std::move(variables), request);
        } catch (const Error& caught) {
            return std::string(caught.what());
        }
        return std::string();
    };
    using terrane::test::contains;
    const std::map<std::string, std::string> mpirun{{"OMPI_COMM_WORLD_SIZE", "2"},
                                                    {"OMPI_COMM_WORLD_RANK", "1"}};

    CHECK(launch(mpirun, {.distributed = true, .world_size = 2}).launcher == comm::Launcher::open_mpi);
    CHECK_THAT(error(mpirun, {.world_size = 4}),
               contains("error[E0122]: OMPI_COMM_WORLD_SIZE says 2 ranks, --world-size says 4."));
    CHECK_THAT(error({}, {.world_size = 4}),
               contains("error[E0122]") && contains("'mpirun -n 4 terrane ...'"));
    CHECK(launch({}, {.world_size = 1}).launcher == comm::Launcher::none);

    // RANK alone, as scripts that pass the size on their command line leave it.
    const auto scripted = launch({{"RANK", "1"}}, {.world_size = 2, .local_rank = 1});
    CHECK(scripted.launcher == comm::Launcher::environment);
    CHECK(scripted.promised_ranks == 2);
    CHECK(scripted.local_rank == 1);
    const std::map<std::string, std::string> torchrun{
        {"RANK", "3"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "1"}};
    CHECK(launch(torchrun, {.launcher = "pytorch", .local_rank = 1}).local_rank == 1);
    CHECK_THAT(error(torchrun, {.local_rank = 3}),
               contains("error[E0122]") && contains("the local rank 1, --local-rank says 3"));
    CHECK_NOTHROW(comm::check_local_rank({}, 3));
    CHECK_NOTHROW(comm::check_local_rank({.local_rank = 3}, 3));
    CHECK_THROWS_WITH(comm::check_local_rank({.local_rank = 2}, 3), contains("E0122"));

    // A single process for a debugger.
    for (const std::map<std::string, std::string>& variables :
         {std::map<std::string, std::string>{},
          std::map<std::string, std::string>{{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_PORT", "12355"}}}) {
        const auto alone = launch(variables, {.distributed = true});
        CHECK(alone.launcher == comm::Launcher::environment);
        CHECK(alone.promised_ranks == 1);
    }
    CHECK_THAT(error({}, {.launcher = "none", .distributed = true}), contains("error[E0107]"));
    CHECK_THAT(error({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "3"}}, {.distributed = true}),
               contains("error[E0120]"));
}

TEST_CASE("Slurm's tasks meet on the first host of the list when that is asked for", "[comm]") {
    std::map<std::string, std::string> variables{{"SLURM_PROCID", "5"},
                                                 {"SLURM_STEP_NUM_TASKS", "8"},
                                                 {"SLURM_LOCALID", "1"},
                                                 {"SLURM_STEP_NODELIST", "gpu[003-004,9],login1"},
                                                 {"SLURM_JOB_ID", "482913"}};
    const auto launch = comm::detect_launch(environment(variables), {.launcher = "slurm"});
    CHECK(launch.launcher == comm::Launcher::slurm);
    CHECK(launch.promised_ranks == 8);
    CHECK(launch.promised_rank == 5);
    CHECK(launch.local_rank == 1);
    CHECK(launch.master_host == "gpu003");
    variables["SLURM_JOB_ID"] = "482914";
    CHECK(comm::detect_launch(environment(variables), {.launcher = "slurm"}).master_port !=
          launch.master_port);
    variables["MASTER_PORT"] = "29501";
    CHECK(comm::detect_launch(environment(variables), {.launcher = "slurm"}).master_port == 29501);
    variables["SLURM_STEP_NODELIST"] = "gpu[";
    CHECK_THROWS_AS(comm::detect_launch(environment(variables), {.launcher = "slurm"}), Error);
}

TEST_CASE("the first host of a list is found through brackets", "[comm]") {
    CHECK(comm::first_host("a") == "a");
    CHECK(comm::first_host("a,b") == "a");
    CHECK(comm::first_host("node[01-03,07]") == "node01");
    CHECK(comm::first_host("node[7]") == "node7");
    CHECK(comm::first_host("rack[2,4-5]-n[001-100].example.org,x") == "rack2-n001.example.org");
    for (const char* wrong : {"", ",a", "a[", "a[]", "a[x]", "a[1", "a;b", "a b"})
        CHECK_FALSE(comm::first_host(wrong).has_value());
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
    const std::system_error no_thread(std::make_error_code(std::errc::resource_unavailable_try_again));
    CHECK(described(no_thread).text.starts_with("error[E0002]: the system refuses a further thread"));
    CHECK(described(std::system_error(std::make_error_code(std::errc::io_error)))
              .text.starts_with("error[E0001]: internal error: "));
    CHECK(described(std::runtime_error("x")).text.starts_with("error[E0001]: internal error: x."));
    CHECK(described(std::runtime_error("x")).exit_code == 1);
    CHECK(described(3).exit_code == 1);
}
