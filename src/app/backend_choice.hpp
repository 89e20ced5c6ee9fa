#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/device_choice.hpp"
#include "app/verb.hpp"
#include "device/backend.hpp"

namespace terrane::app {

/// What the ranks compute on, and why it was taken.
class ChosenBackend {
  public:
    ChosenBackend(std::unique_ptr<device::Backend> backend, const std::string& why);

    device::Backend& operator*() const { return *backend_; }
    device::Backend* operator->() const { return backend_.get(); }
    /// For people: "cuda, NVIDIA H100, ... (auto: every rank has a GPU that it can use)".
    const std::string& line() const { return line_; }

  private:
    std::unique_ptr<device::Backend> backend_;
    std::string line_;
};

/// The backend for runtime.device: cpu, ref or cuda as asked for; auto: see choose_device. On a machine with
/// several GPUs a rank takes the one of its local rank; alone, the one of --gpu-ids. Collective. Throws Error
/// E0712, E0713 or E0718 (69) if cuda is asked for and can't be had, E0715 (69) as visible_gpu(), E0719 (69)
/// if auto finds a usable GPU on some ranks only, E0716 (69) on every rank if ranks would share a GPU without
/// runtime.share_device.
ChosenBackend choose_backend(const Invocation& invocation, const config::Runtime& runtime);

/// The same decision without the backend. Collective; throws Error E0719.
DeviceChoice agree_on_device(const Invocation& invocation, const config::Runtime& runtime);

/// The value of CUDA_VISIBLE_DEVICES that shows a rank alone nothing but the GPU that `gpu_ids` (of
/// --gpu-ids) names among those `visible`, the variable's present value; for several ranks that value. Throws
/// Error E0715 (69) if there are several, or not so many visible ones, and E0103 (2) if it is no list of
/// numbers.
std::string visible_gpu(const std::string& gpu_ids, int ranks, const std::optional<std::string>& visible);

/// What ranks sum with in device memory; null: by way of the host, or one rank without --distributed.
/// Collective. Throws Error E0717 (69) if NCCL can't connect them. Where another rank is lost later, the sums
/// are given up before this process ends.
class DeviceSums {
  public:
    DeviceSums(const Invocation& invocation, const config::Config& config, device::Backend& backend);
    ~DeviceSums();
    DeviceSums(const DeviceSums&) = delete;
    DeviceSums& operator=(const DeviceSums&) = delete;

    device::Collectives* get() const { return sums_.get(); }

  private:
    comm::World& world_;
    std::shared_ptr<device::Collectives> sums_;
};

/// The ranks that share a device with another, in groups; `ids` by rank, an empty one is nobody's.
std::vector<std::vector<int>> ranks_that_share(const std::vector<std::string>& ids);

}  // namespace terrane::app
