#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "device/backend.hpp"

namespace terrane::test {

/// Device memory between two canaries, filled with bytes that read as NaN: what a kernel forgets to write, or
/// writes where it must not, shows.
class GuardedBuffer {
  public:
    GuardedBuffer(device::Backend& backend, std::size_t bytes);
    GuardedBuffer(device::Backend& backend, const std::vector<std::byte>& content);

    /// Null for an empty buffer: nobody may touch it.
    std::byte* data() const { return bytes_ == 0 ? nullptr : buffer_.data() + guard; }
    std::vector<std::byte> read() const;
    void write(const std::vector<std::byte>& content);
    bool canaries_intact() const;

  private:
    static constexpr std::size_t guard = 256;

    device::Backend* backend_;
    std::size_t bytes_;
    device::Buffer buffer_;
};

}  // namespace terrane::test
