#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// NVIDIA's management library (NVML), which comes with the driver. It is opened when it is asked for; where
/// it is missing, or a driver does not tell something, that is left out.
namespace terrane::nvml {

/// What stays the same as long as the machine runs.
struct Gpu {
    int index = 0;
    std::string name;  ///< "NVIDIA H100 80GB HBM3"
    std::string uuid;  ///< "GPU-2f1c...", as nvidia-smi -L and device::Backend::device_id() write it
    std::optional<std::uint64_t> memory_bytes;
    std::optional<double> power_limit;          ///< watts
    std::optional<std::int64_t> largest_clock;  ///< of the multiprocessors, MHz
    std::optional<std::int64_t> pcie_generation, pcie_width;
    int nvlinks = 0;  ///< that are up
};

/// What changes from moment to moment.
struct Reading {
    std::optional<std::uint64_t> memory_used;         ///< bytes, of all processes
    std::optional<std::int64_t> busy;                 ///< percent of the last moments in which a kernel ran
    std::optional<std::int64_t> memory_busy;          ///< percent in which memory was read or written
    std::optional<std::int64_t> temperature;          ///< Celsius
    std::optional<double> power;                      ///< watts
    std::optional<std::int64_t> clock, memory_clock;  ///< MHz

    bool empty() const;
};

class Library {
  public:
    /// Null where the library can't be opened or finds no driver.
    static std::unique_ptr<Library> open(const std::string& file = "libnvidia-ml.so.1");
    ~Library();
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    std::string driver() const;  ///< "580.65.06"; empty if it is not told
    /// The newest CUDA that the driver can run, as 1000 * major + 10 * minor; 0 if it is not told.
    int cuda_version() const;
    std::vector<Gpu> gpus() const;
    /// Of the GPU with that UUID; empty if there is none.
    Reading read(const std::string& uuid) const;

  private:
    struct Functions;
    explicit Library(std::unique_ptr<Functions> functions);

    std::unique_ptr<Functions> functions_;
};

/// "NVIDIA H100 80GB HBM3, 79.6 GiB, 700 W, 1980 MHz, PCIe 5 x16, 18 NVLinks"
std::string describe(const Gpu& gpu);
/// "87 % busy, 41.2 GiB used, 61 C, 640 W, 1755 MHz"
std::string describe(const Reading& reading);

}  // namespace terrane::nvml
