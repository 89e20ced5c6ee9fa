#pragma once

#include <functional>
#include <memory>

#include "cuda/queue.hpp"
#include "device/backend.hpp"

namespace terrane::cuda {

/// Captures what `work` queues as a CUDA graph. Throws what `work` throws, and Error E0714 if something in it
/// can't be captured.
std::unique_ptr<device::Backend::Recording> capture(Queue queue, const std::function<void()>& work);

}  // namespace terrane::cuda
