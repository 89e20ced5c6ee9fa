#include "device/buffer.hpp"

#include <sys/mman.h>

#include "base/error.hpp"

namespace terrane::device {

Buffer::~Buffer() {
    if (data_ != nullptr) release_(data_);
}

void Buffer::swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(release_, other.release_);
}

Buffer allocate_host(std::size_t bytes) {
    if (bytes == 0) return {};
    // Anonymous pages are zero and are backed only when touched; huge pages spare the TLB on arenas of
    // gigabytes.
    void* block = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        throw Error(ExitCode::device_unavailable, 710,
                    fmt::format("{} MB of memory can't be allocated.", bytes >> 20),
                    "Use a smaller batch or crop; 'terrane inspect' prints the memory plan.");
    }
    ::madvise(block, bytes, MADV_HUGEPAGE);
    return Buffer(static_cast<std::byte*>(block), bytes, [bytes](std::byte* data) { ::munmap(data, bytes); });
}

}  // namespace terrane::device
