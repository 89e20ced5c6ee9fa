// What a user sees of failing ranks: starts failing_rank.cpp under mpirun.
#include <csignal>

#include "support/catch.hpp"
#include "support/shell.hpp"

using terrane::test::occurrences;
using terrane::test::shell;
using terrane::test::ShellResult;

namespace {

ShellResult run(const std::string& how, int ranks) {
    return shell(std::string(TERRANE_MPIRUN) + " -n " + std::to_string(ranks) +
                 " timeout 60 " TERRANE_FAILING_RANK " " + how);
}

}  // namespace

TEST_CASE("one failing rank ends the job in seconds with its code, its name and its host", "[comm]") {
    for (const int ranks : {2, 3}) {
        const ShellResult result = run("last", ranks);
        INFO(result.output);
        CHECK(result.exit_code == 65);
        CHECK(occurrences(result.output, "error[E0311]: the last rank failed.") == 1);
        CHECK(occurrences(result.output, "[rank " + std::to_string(ranks - 1) + " on ") == 1);
        CHECK(result.seconds < 20);
    }
    const ShellResult foreign = run("foreign", 2);
    CHECK(foreign.exit_code == 1);
    CHECK(occurrences(foreign.output, "error[E0001]: internal error: unexpected.") == 1);
}

TEST_CASE("an error that all ranks have is printed once, without a rank", "[comm]") {
    for (const int ranks : {1, 2, 3}) {
        const ShellResult result = run("same", ranks);
        INFO(result.output);
        CHECK(result.exit_code == 78);
        CHECK(occurrences(result.output, "error[E0502]: all ranks failed.") == 1);
        CHECK(occurrences(result.output, "[rank ") == 0);
    }
}

TEST_CASE("different errors of all ranks are each printed once with their rank", "[comm]") {
    const ShellResult result = run("different", 3);
    INFO(result.output);
    CHECK(result.exit_code == 74);
    for (int rank = 0; rank < 3; ++rank) {
        CHECK(occurrences(result.output, "error[E0901]: rank " + std::to_string(rank) + " failed.") == 1);
    }
}

TEST_CASE("sums in flight don't keep failed ranks from ending", "[comm]") {
    const ShellResult result = run("in_flight", 2);
    INFO(result.output);
    CHECK(result.exit_code == 80);
    CHECK(result.seconds < 20);
}

TEST_CASE("a rank that vanishes or falls silent ends the job", "[comm]") {
    const ShellResult vanished = run("exit", 3);
    INFO(vanished.output);
    CHECK(vanished.exit_code == 74);
    CHECK(vanished.seconds < 20);
    const ShellResult silent = run("silent", 2);
    INFO(silent.output);
    CHECK(silent.exit_code == 82);
    CHECK(occurrences(silent.output, "error[E0802]: a rank did not take part in 'barrier' within 0.5 s.") ==
          1);
    CHECK(silent.seconds < 20);
}

TEST_CASE("without mpirun a failure is one error and its code", "[comm]") {
    const ShellResult result = shell(TERRANE_FAILING_RANK " last");
    CHECK(result.exit_code == 65);
    CHECK(result.output == "error[E0311]: the last rank failed.\n");
}
