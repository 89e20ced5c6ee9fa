#include <fmt/format.h>

#include "nvml/library.hpp"

namespace terrane::nvml {

namespace {

double gibibytes(std::uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(std::uint64_t{1} << 30);
}

}  // namespace

bool Reading::empty() const {
    return !memory_used && !busy && !memory_busy && !temperature && !power && !clock && !memory_clock;
}

std::string describe(const Gpu& gpu) {
    std::string text = gpu.name;
    if (gpu.memory_bytes) text += fmt::format(", {:.1f} GiB", gibibytes(*gpu.memory_bytes));
    if (gpu.power_limit) text += fmt::format(", {:.0f} W", *gpu.power_limit);
    if (gpu.largest_clock) text += fmt::format(", {} MHz", *gpu.largest_clock);
    if (gpu.pcie_generation && gpu.pcie_width)
        text += fmt::format(", PCIe {} x{}", *gpu.pcie_generation, *gpu.pcie_width);
    if (gpu.nvlinks > 0) text += fmt::format(", {} NVLinks", gpu.nvlinks);
    return text;
}

std::string describe(const Reading& reading) {
    std::vector<std::string> parts;
    if (reading.busy) parts.push_back(fmt::format("{} % busy", *reading.busy));
    if (reading.memory_used) parts.push_back(fmt::format("{:.1f} GiB used", gibibytes(*reading.memory_used)));
    if (reading.temperature) parts.push_back(fmt::format("{} C", *reading.temperature));
    if (reading.power) parts.push_back(fmt::format("{:.0f} W", *reading.power));
    if (reading.clock) parts.push_back(fmt::format("{} MHz", *reading.clock));
    return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace terrane::nvml
