#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/verb.hpp"
#include "device/backend.hpp"

namespace terrane::app {

/// The backend for runtime.device: cpu, ref, cuda, or auto, which means cpu as long as the CUDA backend can't
/// run a network (docs/gpu-status.md). On a machine with several GPUs a rank takes the one of its local rank.
/// Collective. Throws Error E0712 or E0713 (69) if cuda is asked for and can't be had, E0716 (69) on every
/// rank if ranks would share a GPU without runtime.share_device.
std::unique_ptr<device::Backend> choose_backend(const Invocation& invocation, const config::Runtime& runtime);

/// What ranks sum with in device memory; null: by way of the host. Collective. Throws Error E0717 (69) if
/// NCCL can't connect them. Where another rank is lost later, the sums are given up before this process ends.
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
