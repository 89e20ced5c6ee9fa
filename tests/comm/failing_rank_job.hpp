#pragma once

#include "support/job.hpp"

namespace terrane::test {

/// Starts failing_rank.cpp on so many ranks; `how` are its arguments.
inline ShellResult run_failing_rank(const JobLauncher& launcher, const std::string& how, int ranks) {
    return shell(job(launcher, ranks, TERRANE_FAILING_RANK " " + how));
}

}  // namespace terrane::test
