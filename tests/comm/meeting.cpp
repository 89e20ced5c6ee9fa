// How ranks without MPI find each other, and what is refused: starts failing_rank.cpp by the environment
// alone.
#include <filesystem>

#include "base/file.hpp"
#include "net/listener.hpp"
#include "support/catch.hpp"
#include "support/job.hpp"
#include "support/temporary_folder.hpp"

using terrane::test::contains;
using terrane::test::occurrences;
using terrane::test::shell;
using terrane::test::ShellResult;

namespace {

ShellResult run(const std::string& options, const std::string& how = "late 60 30") {
    return shell("python3 " TERRANE_RUN_RANKS " " + options + " -- " TERRANE_FAILING_RANK " " + how);
}

}  // namespace

TEST_CASE("ranks that the environment numbers find each other, also as one", "[comm]") {
    const ShellResult four = run("-n 4", "local 60 30");
    INFO(four.output);
    CHECK(four.exit_code == 0);
    CHECK_THAT(four.output, contains("done with 4 ranks at 127.0.0.1:"));
    const ShellResult alone = run("-n 1 --set TERRANE_TEST_LAUNCHER=env", "local 60 30");
    INFO(alone.output);
    CHECK(alone.exit_code == 0);
    CHECK_THAT(alone.output, contains("done with 1 ranks"));
}

TEST_CASE("Slurm's numbers do as well when they are asked for, without MPI", "[comm]") {
    std::string options =
        "-n 2 --set TERRANE_TEST_LAUNCHER=slurm --set SLURM_STEP_NUM_TASKS=2 "
        "--set SLURM_STEP_NODELIST=localhost --set MASTER_ADDR= ";
    for (const char* name : {"RANK=", "WORLD_SIZE=", "0:SLURM_PROCID=0", "1:SLURM_PROCID=1",
                             "0:SLURM_LOCALID=0", "1:SLURM_LOCALID=1"})
        options += std::string(" --set ") + name;
    const ShellResult result = run(options, "local 60 30");
    INFO(result.output);
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.output, contains("done with 2 ranks at localhost:"));
}

TEST_CASE("a rank that doesn't come is named in time, with address and port", "[comm]") {
    const ShellResult result = run("-n 3 --without 1", "late 2 30");
    INFO(result.output);
    CHECK(result.exit_code == 69);
    CHECK(occurrences(result.output, "error[E0125]: rank 1 did not come to 127.0.0.1:") == 1);
    CHECK_THAT(result.output, contains("within 2 s; there are rank 0 on ") &&
                                  contains("MASTER_ADDR=127.0.0.1") && contains("exit codes: 0:69 2:69"));
    const ShellResult headless = run("-n 2 --without 0", "late 2 30");
    INFO(headless.output);
    CHECK(headless.exit_code == 69);
    CHECK_THAT(headless.output,
               contains("error[E0125]: rank 1 on ") && contains("did not reach rank 0 at 127.0.0.1:") &&
                   contains("warning: rank 1 on ") && contains(" does not reach rank 0 at 127.0.0.1:") &&
                   contains("Connection refused"));
}

TEST_CASE("ranks meet by a file that all of them see, whatever an earlier job left there", "[comm]") {
    const terrane::test::TemporaryFolder folder;
    const std::string file = (folder.path() / "meeting").string();
    const std::string by_file = "--port none --set TERRANE_TEST_DIST_URL=file://" + file + " ";
    for (const char* left : {"", "terrane meeting 1\nanother job\n9\n127.0.0.1\n", "rubbish"}) {
        if (*left != '\0') terrane::write_file_atomically(file, left);
        const ShellResult met = run("-n 3 " + by_file, "local 60 30");
        INFO(met.output);
        CHECK(met.exit_code == 0);
        CHECK_THAT(met.output, contains("done with 3 ranks at "));
        CHECK(std::filesystem::is_empty(folder.path()));
    }
    const ShellResult headless = run("-n 2 --without 0 " + by_file, "late 2 30");
    INFO(headless.output);
    CHECK(headless.exit_code == 69);
    CHECK_THAT(headless.output,
               contains("did not reach rank 0 at the address in " + file + " within 2 s: ") &&
                   contains("has not written that file yet"));
    const ShellResult nowhere =
        run("-n 2 --port none --set TERRANE_TEST_DIST_URL=file:///missing/folder/meeting", "late 2 30");
    INFO(nowhere.output);
    CHECK_THAT(nowhere.output, contains("error[E0126]: the other ranks can't be told where to meet: "));
    const ShellResult incomplete = run("-n 3 --without 1 " + by_file, "late 2 30");
    INFO(incomplete.output);
    CHECK_THAT(incomplete.output, contains("rank 1 did not come to the address in " + file));
    CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("ranks that contradict each other are refused, by name", "[comm]") {
    const std::pair<const char*, const char*> cases[] = {
        {"-n 3 --set 2:LOCAL_RANK=1", "error[E0127]: rank 1 and rank 2 both have local rank 1 on "},
        {"-n 3 --set 2:WORLD_SIZE=4", "was told of 4 ranks, rank 0 on "},
        {"-n 3 --set 2:RANK=1", "error[E0127]: two processes call themselves rank 1: "},
        {"-n 3 --set 2:TERRANE_TEST_PROGRAM=other", "error[E0121]: the program differs between rank 0 on "},
    };
    for (const auto& [options, message] : cases) {
        const ShellResult result = run(options, "late 20 30");
        INFO(result.output);
        CHECK(result.exit_code == 69);
        CHECK(occurrences(result.output, message) == 1);
        CHECK(occurrences(result.output, "error[") == 1);
        CHECK_THAT(result.output, contains("exit codes: 0:69 1:69 2:69"));
        CHECK(result.seconds < 20);
    }
}

TEST_CASE("a port in use is refused with the option and the variable", "[comm]") {
    int failure = 0;
    const terrane::net::Listener taken(0, failure);
    REQUIRE(taken.is_open());
    const ShellResult result = run("-n 2 --without 1 --port " + std::to_string(taken.port()), "late 5 30");
    INFO(result.output);
    CHECK(result.exit_code == 69);
    CHECK_THAT(result.output,
               contains("error[E0126]: port " + std::to_string(taken.port()) + " is in use on ") &&
                   contains("--master-port N or MASTER_PORT=N"));
}

TEST_CASE("two jobs on one host don't disturb each other, with ports of their own or without any", "[comm]") {
    for (const char* port : {"", "--port none"}) {
        const std::string job = std::string("python3 " TERRANE_RUN_RANKS " -n 2 ") + port +
                                " -- " TERRANE_FAILING_RANK " late 60 30";
        const ShellResult result = shell(job + " first & one=$!; " + job +
                                         " second & two=$!; wait $one; a=$?; wait $two; echo codes $a $?");
        INFO(result.output);
        CHECK_THAT(result.output, contains("codes 0 0"));
        CHECK(occurrences(result.output, "done with 2 ranks") == 2);
    }
}
