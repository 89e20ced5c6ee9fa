#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>

namespace terrane::device {

/// Alignment of every allocation and of every tensor placed in the arena: a cache line, and enough for any
/// vector unit.
inline constexpr std::size_t alignment = 64;

/// `bytes` rounded up to the alignment.
constexpr std::size_t aligned(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
}

/// Owner of one block of device memory. Moves, never copies.
class Buffer {
  public:
    Buffer() = default;
    /// Takes over a block; `release` gives it back.
    Buffer(std::byte* data, std::size_t bytes, std::function<void(std::byte*)> release)
        : data_(data), bytes_(bytes), release_(std::move(release)) {}
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Buffer();

    std::byte* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

  private:
    void swap(Buffer& other) noexcept;

    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
    std::function<void(std::byte*)> release_;
};

/// A zeroed block of ordinary host memory. Throws Error E0710 if there is none left.
Buffer allocate_host(std::size_t bytes);

}  // namespace terrane::device
