#include "kernels/guarded_buffer.hpp"

#include <algorithm>

namespace terrane::test {

namespace {

constexpr std::byte canary{0xA5};
constexpr std::byte garbage{0xFF};  // a NaN in every floating-point type

}  // namespace

GuardedBuffer::GuardedBuffer(device::Backend& backend, std::size_t bytes)
    : backend_(&backend), bytes_(bytes), buffer_(backend.allocate(device::aligned(bytes) + 2 * guard)) {
    std::vector<std::byte> whole(buffer_.bytes(), canary);
    std::fill_n(whole.begin() + guard, bytes, garbage);
    backend.copy_to_device(buffer_.data(), whole.data(), whole.size());
}

GuardedBuffer::GuardedBuffer(device::Backend& backend, const std::vector<std::byte>& content)
    : GuardedBuffer(backend, content.size()) {
    write(content);
}

std::vector<std::byte> GuardedBuffer::read() const {
    std::vector<std::byte> content(bytes_);
    backend_->copy_to_host(content.data(), buffer_.data() + guard, bytes_);
    return content;
}

void GuardedBuffer::write(const std::vector<std::byte>& content) {
    TERRANE_ASSERT(content.size() == bytes_, "{} bytes into a buffer of {}", content.size(), bytes_);
    backend_->copy_to_device(buffer_.data() + guard, content.data(), bytes_);
}

bool GuardedBuffer::canaries_intact() const {
    std::vector<std::byte> whole(buffer_.bytes());
    backend_->copy_to_host(whole.data(), buffer_.data(), whole.size());
    const auto is_canary = [](std::byte byte) { return byte == canary; };
    const auto inside = static_cast<std::ptrdiff_t>(guard + bytes_);
    return std::all_of(whole.begin(), whole.begin() + guard, is_canary) &&
           std::all_of(whole.begin() + inside, whole.end(), is_canary);
}

}  // namespace terrane::test
