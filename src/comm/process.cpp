#include "comm/process.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

namespace terrane::comm {

namespace {

struct ProcessStat {
    std::string name;
    pid_t parent = 0;
    std::int64_t started = 0;
    char state = '?';
};

std::optional<ProcessStat> stat_of(pid_t process) {
    std::ifstream file(fmt::format("/proc/{}/stat", process));
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    // The name is in parentheses and may hold anything, parentheses included.
    const std::size_t open = line.find('(');
    const std::size_t close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
    ProcessStat stat;
    stat.name = line.substr(open + 1, close - open - 1);
    std::istringstream rest(line.substr(close + 1));
    rest >> stat.state >> stat.parent;
    std::string skipped;
    for (int field = 5; field < 22; ++field) rest >> skipped;
    rest >> stat.started;
    if (!rest) return std::nullopt;
    return stat;
}

constexpr std::array launchers{"mpirun", "mpiexec",    "orterun",         "orted",        "prterun",
                               "prted",  "slurmstepd", "hydra_pmi_proxy", "mpiexec.hydra"};

}  // namespace

std::optional<std::int64_t> process_start(pid_t process) {
    const auto stat = stat_of(process);
    return stat ? std::optional(stat->started) : std::nullopt;
}

bool is_running(pid_t process, std::int64_t started) {
    const auto stat = stat_of(process);
    return stat && stat->started == started && stat->state != 'Z' && stat->state != 'X';
}

void end_process(pid_t process, std::int64_t started) {
    if (process > 1 && process_start(process) == started) ::kill(process, SIGKILL);
}

LauncherWatch::LauncherWatch(Launcher launcher) {
    const bool torchrun = launcher == Launcher::environment && environment_variable("TORCHELASTIC_RUN_ID");
    if (transport_of(launcher) == Transport::self || (launcher == Launcher::environment && !torchrun)) return;
    pid_t ancestor = ::getppid();
    for (int generation = 0; generation < 8 && ancestor > 1; ++generation) {
        const auto stat = stat_of(ancestor);
        if (!stat) return;
        if (torchrun || std::find(launchers.begin(), launchers.end(), stat->name) != launchers.end()) {
            process_ = ancestor;
            started_ = stat->started;
            name_ = stat->name;
            break;
        }
        ancestor = stat->parent;
    }
    if (process_ > 0) handle_ = net::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process_, 0)));
}

bool LauncherWatch::is_gone() const {
    if (process_ == 0) return false;
    return !is_running(process_, started_);
}

std::string LauncherWatch::describe() const {
    return fmt::format("{} (process {})", name_, process_);
}

}  // namespace terrane::comm
