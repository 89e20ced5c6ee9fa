// What a user sees of failing ranks: starts failing_rank.cpp under mpirun and by the environment alone.
#include "failing_rank_job.hpp"
#include "support/catch.hpp"

using terrane::test::contains;
using terrane::test::job;
using terrane::test::job_launchers;
using terrane::test::JobLauncher;
using terrane::test::occurrences;
using terrane::test::run_failing_rank;
using terrane::test::shell;
using terrane::test::ShellResult;

TEST_CASE("one failing rank ends the job in seconds with its code, its name and its host", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult last = run_failing_rank(launcher, "last", 3);
        INFO(launcher.name << "\n" << last.output);
        CHECK(last.exit_code == 65);
        CHECK(occurrences(last.output, "error[E0311]: the last rank failed.") == 1);
        CHECK(occurrences(last.output, "[rank 2 on ") == 1);
        CHECK(last.seconds < 20);
        const ShellResult first = run_failing_rank(launcher, "first", 2);
        INFO(launcher.name << "\n" << first.output);
        CHECK(first.exit_code == 65);
        CHECK(occurrences(first.output, "[rank 0 on ") == 1);
        CHECK(occurrences(first.output, "error[E0311]: the first rank failed.") == 1);
        const ShellResult foreign = run_failing_rank(launcher, "foreign", 2);
        CHECK(foreign.exit_code == 1);
        CHECK(occurrences(foreign.output, "error[E0001]: internal error: unexpected.") == 1);
    }
}

TEST_CASE("an error that all ranks have is printed once, without a rank", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        for (const int ranks : {1, 3}) {
            const ShellResult result = run_failing_rank(launcher, "same", ranks);
            INFO(launcher.name << "\n" << result.output);
            CHECK(result.exit_code == 78);
            CHECK(occurrences(result.output, "error[E0502]: all ranks failed.") == 1);
            CHECK(occurrences(result.output, "[rank ") == 0);
        }
    }
}

TEST_CASE("different errors of all ranks are each printed once with their rank", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult result = run_failing_rank(launcher, "different", 3);
        INFO(launcher.name << "\n" << result.output);
        CHECK(result.exit_code == 74);
        for (int rank = 0; rank < 3; ++rank) {
            CHECK(occurrences(result.output, "error[E0901]: rank " + std::to_string(rank) + " failed.") == 1);
        }
    }
}

TEST_CASE("ranks that only call off their collectives unwind their own work and end with the same code",
          "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        for (const char* how : {"stop", "stop_first"}) {
            const ShellResult exits =
                shell("TERRANE_TEST_ON_LOSS=1 " +
                      job(launcher, 3, std::string(TERRANE_FAILING_RANK " ") + how + " 60 2"));
            INFO(launcher.name << " " << how << "\n" << exits.output);
            CHECK(exits.exit_code != 0);
            const ShellResult aborts =
                shell("TERRANE_TEST_ON_LOSS=2 " +
                      job(launcher, 3, std::string(TERRANE_FAILING_RANK " ") + how + " 60 2"));
            INFO(aborts.output);
            CHECK(aborts.exit_code != 0);
            // A launcher that sees one leave may end the other.
            CHECK(occurrences(aborts.output, "the work is unwound") >= 1);
            CHECK(occurrences(aborts.output, "error[E080") >= 1);
            CHECK(aborts.seconds < 20);
        }
    }
}

TEST_CASE("with async errors off nobody ends a job that waits", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult result = shell("TERRANE_TEST_ON_LOSS=0 " + launcher.before + "2" + launcher.after +
                                         "timeout -s KILL 6 " TERRANE_FAILING_RANK " asleep 1 1");
        INFO(launcher.name << "\n" << result.output);
        CHECK(result.exit_code != 0);
        CHECK(result.seconds > 5);
        for (const char* error : {"E0802", "E0803", "E0804"}) CHECK(occurrences(result.output, error) == 0);
    }
}

TEST_CASE("with checks on, ranks that call different collectives are told apart at once", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult result =
            shell("TERRANE_TEST_CHECK=1 " + job(launcher, 3, TERRANE_FAILING_RANK " differ 30 30"));
        INFO(launcher.name << "\n" << result.output);
        CHECK(result.exit_code == 82);
        CHECK(occurrences(result.output, "error[E0807]: the ranks are about to do different collectives: ") ==
              1);
        CHECK_THAT(result.output,
                   contains("rank 2: #2 barrier") && contains("ranks 0, 1: #2 sum of 1 doubles"));
        CHECK(result.seconds < 15);
        const ShellResult same = shell("TERRANE_TEST_CHECK=1 TERRANE_TEST_STEPS=5 " +
                                       job(launcher, 3, TERRANE_FAILING_RANK " loop 30 30"));
        INFO(launcher.name << "\n" << same.output);
        CHECK(same.exit_code == 0);
    }
}

TEST_CASE("sums in flight don't keep failed ranks from ending", "[comm]") {
    for (const JobLauncher& launcher : job_launchers()) {
        const ShellResult result = run_failing_rank(launcher, "in_flight", 2);
        INFO(launcher.name << "\n" << result.output);
        CHECK(result.exit_code == 80);
        CHECK(result.seconds < 20);
    }
}

TEST_CASE("without a launcher a failure is one error and its code", "[comm]") {
    const ShellResult result = shell(TERRANE_FAILING_RANK " last");
    CHECK(result.exit_code == 65);
    CHECK(result.output == "error[E0311]: the last rank failed.\n");
}
