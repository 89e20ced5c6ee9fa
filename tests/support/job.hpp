#pragma once

#include <string>
#include <vector>

#include "support/shell.hpp"

namespace terrane::test {

/// How a test starts ranks: the words before the program, up to the number of ranks.
struct JobLauncher {
    std::string name;
    std::string before;  ///< "mpirun ... -n"
    std::string after;   ///< what stands between the number and the program
};

/// mpirun and the rendezvous over TCP.
inline const std::vector<JobLauncher>& job_launchers() {
    static const std::vector<JobLauncher> launchers{
        {"mpirun", TERRANE_MPIRUN " -n ", " "},
        {"env", "python3 " TERRANE_RUN_RANKS " -n ", " -- "},
    };
    return launchers;
}

inline std::string job(const JobLauncher& launcher, int ranks, const std::string& program) {
    return launcher.before + std::to_string(ranks) + launcher.after + "timeout 60 " + program;
}

/// Processes whose command line holds the name (which must be peculiar to them), after at most `seconds`.
inline int processes_left(const std::string& name, double seconds) {
    const std::string pattern = "[" + name.substr(0, 1) + "]" + name.substr(1);
    int left = 0;
    for (double waited = 0; waited <= seconds; waited += 0.1) {
        left = std::stoi("0" + shell("pgrep -fc '" + pattern + "'").output);
        if (left == 0) return 0;
        shell("sleep 0.1");
    }
    return left;
}

}  // namespace terrane::test
