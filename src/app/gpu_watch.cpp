#include "app/gpu_watch.hpp"

#include <fmt/format.h>

namespace terrane::app {

namespace {

constexpr auto between_lines = std::chrono::minutes(1);

}  // namespace

GpuWatch::GpuWatch(const std::string& device_id, std::unique_ptr<nvml::Library> library)
    : id_(device_id),
      library_(id_.empty() ? nullptr : std::move(library)),
      next_line_(std::chrono::steady_clock::now()) {}

nvml::Reading GpuWatch::read() const {
    return library_ ? library_->read(id_) : nvml::Reading{};
}

std::string GpuWatch::line() {
    const auto now = std::chrono::steady_clock::now();
    if (!library_ || now < next_line_) return {};
    next_line_ = now + between_lines;
    const nvml::Reading reading = read();
    return reading.empty() ? std::string() : "gpu   " + nvml::describe(reading);
}

report::GpuRecord gpu_record(const nvml::Reading& reading) {
    report::GpuRecord record;
    if (reading.busy) record.busy = static_cast<double>(*reading.busy);
    if (reading.memory_used) record.memory_gib = static_cast<double>(*reading.memory_used) / (1 << 30);
    if (reading.temperature) record.temperature = static_cast<double>(*reading.temperature);
    record.power = reading.power;
    if (reading.clock) record.clock = static_cast<double>(*reading.clock);
    return record;
}

std::vector<std::string> gpu_lines() {
    const auto library = nvml::Library::open();
    if (!library) return {};
    std::vector<std::string> lines;
    const int cuda = library->cuda_version();
    lines.push_back(
        fmt::format("driver {}{}", library->driver(),
                    cuda > 0 ? fmt::format(", runs CUDA up to {}.{}", cuda / 1000, cuda % 1000 / 10) : ""));
    for (const nvml::Gpu& gpu : library->gpus())
        lines.push_back(fmt::format("{} {} ({})", gpu.index, nvml::describe(gpu), gpu.uuid));
    return lines;
}

}  // namespace terrane::app
