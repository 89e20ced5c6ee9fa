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

/// What the ranks compute on: cpu, ref or cuda as runtime.device asks; auto: see choose_device. Where GPUs
/// may be taken CUDA is shown those of runtime.gpu_ids alone, so it must not have looked for any before: once
/// per command. Collective. Throws Error E0715 (69) as select_gpus() and require_gpu_per_rank(), E0719 (69)
/// if auto finds a usable GPU on some ranks only.
DeviceChoice agree_on_device(const Invocation& invocation, const config::Runtime& runtime);

/// The backend of that choice. Of several GPUs that a rank sees it takes the one of its local rank.
/// Collective. Throws Error E0712, E0713 or E0718 (69) if cuda is asked for and can't be had, E0716 (69) on
/// every rank if ranks would share a GPU without runtime.share_device.
ChosenBackend open_backend(const Invocation& invocation, const config::Runtime& runtime,
                           const DeviceChoice& choice);

/// Both, for verbs that compute on whatever it is.
ChosenBackend choose_backend(const Invocation& invocation, const config::Runtime& runtime);

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
