#pragma once

#include <cstddef>
#include <cstdint>

#include "device/buffer.hpp"

namespace terrane::cpu {

/// Cuts one block of memory into aligned arrays, in the order of the calls. Run once without memory it tells
/// how many bytes are needed; run again on the memory it gives the same arrays.
class MemoryLayout {
  public:
    explicit MemoryLayout(std::byte* memory) : memory_(memory) {}

    template <typename T>
    T* take(std::int64_t count) {
        std::byte* const place = memory_ ? memory_ + used_ : nullptr;
        used_ += device::aligned(static_cast<std::size_t>(count) * sizeof(T));
        return reinterpret_cast<T*>(place);
    }
    std::size_t used() const { return used_; }

  private:
    std::byte* memory_;
    std::size_t used_ = 0;
};

}  // namespace terrane::cpu
