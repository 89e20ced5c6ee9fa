#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "nvml/library.hpp"
#include "report/run_folder.hpp"

namespace terrane::app {

/// The GPU that this rank computes on, looked at now and then. Where nothing is known of it, nothing is said.
class GpuWatch {
  public:
    /// `device_id`: device::Backend::device_id(); empty for CPUs.
    explicit GpuWatch(const std::string& device_id,
                      std::unique_ptr<nvml::Library> library = nvml::Library::open());

    /// What can be read now; empty if there is nothing to read.
    nvml::Reading read() const;
    /// The same as a line, at most once a minute; empty in between.
    std::string line();

  private:
    std::string id_;
    std::unique_ptr<nvml::Library> library_;
    std::chrono::steady_clock::time_point next_line_;
};

/// A reading as steps.csv and TensorBoard show it.
report::GpuRecord gpu_record(const nvml::Reading& reading);

/// The lines about the driver and the GPUs of this machine, for doctor and the start banner; none where no
/// driver is.
std::vector<std::string> gpu_lines();

}  // namespace terrane::app
