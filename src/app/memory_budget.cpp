#include "app/memory_budget.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "base/error.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t unlimited = ~std::size_t{0};

std::size_t number_in(const fs::path& path) {
    std::ifstream file(path);
    std::size_t number = 0;
    return file >> number ? number : unlimited;  // "max" is no number
}

/// The number behind a key of a file with lines "key number ...".
std::size_t number_of(const fs::path& path, const std::string& key, std::size_t otherwise) {
    std::ifstream file(path);
    std::string line, name;
    std::size_t number = 0;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        if (words >> name && name == key && words >> number) return number;
    }
    return otherwise;
}

std::size_t available_on_host(const fs::path& proc) {
    const std::size_t kib = number_of(proc / "meminfo", "MemAvailable:", unlimited);
    return kib == unlimited ? std::size_t{1} << 30 : kib * 1024;
}

/// One version of control groups and what its files are called.
struct GroupFiles {
    const char* controller;  ///< as in /proc/self/cgroup
    const char* mount;       ///< below /sys/fs/cgroup
    const char* limit;
    const char* used;
    const char* cache;  ///< in memory.stat: file pages that the kernel gives back when they are needed
};

constexpr GroupFiles versions[] = {
    {"", "", "memory.max", "memory.current", "inactive_file"},
    {"", "unified", "memory.max", "memory.current", "inactive_file"},
    {"memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
};

/// This process's group: the path behind "number:controllers:" in /proc/self/cgroup.
std::string group_of(const fs::path& proc, const std::string& controller) {
    std::ifstream file(proc / "self" / "cgroup");
    std::string line;
    while (std::getline(file, line)) {
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        if (controllers.find("," + controller + ",") != std::string::npos) return line.substr(second + 1);
    }
    return "/";
}

std::size_t available_in_one_group(const fs::path& group, const GroupFiles& files) {
    const std::size_t limit = number_in(group / files.limit), used = number_in(group / files.used);
    if (limit == unlimited || used == unlimited) return unlimited;
    const std::size_t cache = number_of(group / "memory.stat", files.cache, 0);
    const std::size_t kept = used - std::min(used, cache);
    return limit - std::min(limit, kept);
}

// Addresses that no plan counts: oneDNN's generated code, which crashes where it can't have its memory,
// stacks of threads and their heaps.
constexpr std::size_t unplanned_addresses = std::size_t{192} << 20;

/// What a limit on addresses (ulimit -v) leaves for plans.
std::size_t available_to_process(const fs::path& proc) {
    if (!addresses_are_limited()) return unlimited;
    rlimit limit{};
    ::getrlimit(RLIMIT_AS, &limit);
    const std::size_t used = number_of(proc / "self" / "status", "VmSize:", 0) * 1024;
    if (limit.rlim_cur < used + unplanned_addresses) {
        throw Error(ExitCode::device_unavailable, 710,
                    fmt::format("the limit of {} MB on addresses is too low: the program has taken {} MB and "
                                "needs {} MB more before any data.",
                                limit.rlim_cur >> 20, used >> 20, unplanned_addresses >> 20),
                    "Raise it (ulimit -v) or bound the job's memory by a control group instead.");
    }
    return limit.rlim_cur - used - unplanned_addresses;
}

}  // namespace

std::size_t available_in_groups(const fs::path& proc, const fs::path& groups) {
    std::size_t available = unlimited;
    for (const GroupFiles& files : versions) {
        const fs::path top = groups / files.mount;
        // A limit may be set at any level. In a container the path may begin above what is visible there.
        fs::path below = fs::path(group_of(proc, files.controller)).relative_path();
        for (;; below = below.parent_path()) {
            available = std::min(available, available_in_one_group(top / below, files));
            if (below.empty()) break;
        }
    }
    return available;
}

bool addresses_are_limited() {
    rlimit limit{};
    return ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

std::size_t memory_budget(const config::Runtime& runtime, int ranks) {
    const fs::path proc = "/proc";
    const std::size_t own = available_to_process(proc);
    if (runtime.ram > 0) return static_cast<std::size_t>(runtime.ram) << 20;
    const std::size_t shared = std::min(available_on_host(proc), available_in_groups(proc, "/sys/fs/cgroup"));
    return std::min(shared / static_cast<std::size_t>(std::max(ranks, 1)), own) / 10 * 8;
}

}  // namespace terrane::app
