#pragma once

#include <cstddef>

#include "device/buffer.hpp"

namespace terrane::device {

/// Device memory and the way into it.
class Memory {
  public:
    virtual ~Memory() = default;

    /// Zeroed device memory. Throws Error E0710 if there is not enough.
    virtual Buffer allocate(std::size_t bytes) = 0;
    /// In order with all work queued before and after. `host` may be changed when the call returns.
    virtual void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) = 0;
};

}  // namespace terrane::device
