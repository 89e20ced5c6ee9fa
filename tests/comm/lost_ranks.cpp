// What a user sees of ranks that are gone, silent, stuck or slow: starts failing_rank.cpp under mpirun and by
// the environment alone.
#include <unistd.h>

#include "failing_rank_job.hpp"
#include "support/catch.hpp"

using terrane::test::contains;
using terrane::test::job;
using terrane::test::job_launchers;
using terrane::test::JobLauncher;
using terrane::test::occurrences;
using terrane::test::processes_left;
using terrane::test::run_failing_rank;
using terrane::test::shell;
using terrane::test::ShellResult;

TEST_CASE("a rank that vanishes ends the job, by name, also if it says that all is well", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult vanished = run_failing_rank(launcher, "exit", 3);
        INFO(launcher.name << "\n" << vanished.output);
        CHECK(vanished.exit_code == 74);
        CHECK(occurrences(vanished.output, "error[E0803]: rank 2 on ") == 1);
        CHECK(vanished.seconds < 20);
        const ShellResult zero = run_failing_rank(launcher, "exit0", 3);
        INFO(launcher.name << "\n" << zero.output);
        CHECK(zero.exit_code != 0);
        CHECK(occurrences(zero.output, "error[E0803]: rank 2 on ") == 1);
        CHECK(zero.seconds < 20);
    }
}

TEST_CASE("a rank that computes beyond the time limit of a collective is named with what it does", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult silent = run_failing_rank(launcher, "asleep 2 30", 3);
        INFO(launcher.name << "\n" << silent.output);
        CHECK(silent.exit_code == 82);
        CHECK(occurrences(silent.output, "error[E0802]: a rank did not take part in 'barrier' within 2 s.") ==
              1);
        CHECK(occurrences(silent.output, "rank 2 on ") >= 1);
        CHECK_THAT(silent.output, contains("keeps the others waiting: it is alive and computing for "));
        CHECK_THAT(silent.output, contains("#2 barrier, 0 bytes"));
        CHECK(silent.seconds < 20);
    }
}

TEST_CASE("a stopped rank is found by its silence and named, rank 0 as well; none is left", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        for (const char* who : {"stop", "stop_first"}) {
            const std::string name = "terrane-stopped-" + std::to_string(::getpid());
            const ShellResult result = run_failing_rank(launcher, std::string(who) + " 60 3 " + name, 4);
            INFO(launcher.name << " " << who << "\n" << result.output);
            CHECK(result.exit_code != 0);
            const std::string culprit = who == std::string("stop") ? "rank 3 on " : "rank 0 on ";
            CHECK_THAT(result.output, contains("error[E0804]: " + culprit));
            CHECK(result.seconds < 25);
            CHECK(processes_left(name, 5) == 0);
        }
    }
}

TEST_CASE("a rank that is slow but alive is waited for", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult result = run_failing_rank(launcher, "late 30 1", 4);
        INFO(launcher.name << "\n" << result.output);
        CHECK(result.exit_code == 0);
        CHECK_THAT(result.output, contains("done with 4 ranks"));
    }
}

TEST_CASE("a killed and a spinning rank end the job in the middle of its steps", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult killed = shell("TERRANE_FAULT='kill@step=20;rank=2' " +
                                         job(launcher, 4, TERRANE_FAILING_RANK " loop 60 30"));
        INFO(launcher.name << "\n" << killed.output);
        CHECK(killed.exit_code != 0);
        CHECK_THAT(killed.output, contains("error[E0803]: rank 2 on ") && contains("step 20"));
        const ShellResult spinning = shell("TERRANE_FAULT='spin@step=20;rank=2' " +
                                           job(launcher, 4, TERRANE_FAILING_RANK " loop 3 30"));
        INFO(launcher.name << "\n" << spinning.output);
        CHECK(spinning.exit_code == 82);
        CHECK_THAT(spinning.output,
                   contains("error[E0802]: ") && contains("rank 2 on ") && contains("step 20"));
        CHECK(spinning.seconds < 25);
    }
}

TEST_CASE("ranks whose launcher is killed end within seconds", "[comm]") {
    const std::string name = "terrane-orphan-" + std::to_string(::getpid());
    const std::string mark = "/tmp/" + name + ".started";
    const ShellResult result = shell(
        "export TERRANE_TEST_STARTED=" + mark +
        " TERRANE_TEST_STEPS=100000; " TERRANE_MPIRUN " -n 4 " TERRANE_FAILING_RANK " loop 60 30 " + name +
        " & launcher=$!; for i in $(seq 300); do [ -e " + mark + " ] && break; sleep 0.1; done; [ -e " +
        mark + " ] && echo running; kill -KILL $launcher; wait $launcher; rm -f " + mark);
    INFO(result.output);
    CHECK_THAT(result.output, contains("running"));
    CHECK(processes_left(name, 5) == 0);
}
