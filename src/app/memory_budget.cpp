#include "app/memory_budget.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace terrane::app {

namespace {

constexpr std::size_t unlimited = ~std::size_t{0};

std::size_t available_on_host() {
    std::ifstream file("/proc/meminfo");
    std::string key, unit;
    std::size_t kib = 0;
    while (file >> key >> kib >> unit) {
        if (key == "MemAvailable:") return kib * 1024;
    }
    return std::size_t{1} << 30;
}

std::size_t number_in(const char* path) {
    std::ifstream file(path);
    std::size_t bytes = 0;
    return file >> bytes ? bytes : unlimited;  // "max" is no number
}

/// What the control group has left, in the naming of either version.
std::size_t available_in_group() {
    const char* const names[][2] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
    for (const auto& [limit_file, used_file] : names) {
        const std::size_t limit = number_in(limit_file), used = number_in(used_file);
        if (limit != unlimited && used != unlimited) return limit > used ? limit - used : 0;
    }
    return unlimited;
}

}  // namespace

std::size_t memory_budget(const config::Runtime& runtime, int ranks) {
    if (runtime.ram > 0) return static_cast<std::size_t>(runtime.ram) << 20;
    return std::min(available_on_host(), available_in_group()) / 10 * 8 /
           static_cast<std::size_t>(std::max(ranks, 1));
}

}  // namespace terrane::app
