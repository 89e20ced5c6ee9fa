#include "weights/byte_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace terrane::weights {

FileBytes::FileBytes(std::filesystem::path path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) {
        throw Error(ExitCode::input_missing, 902,
                    fmt::format("{} can't be opened: {}.", path_.string(), std::strerror(errno)));
    }
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor_);
        throw Error(ExitCode::data_invalid, 601, fmt::format("{} is not a regular file.", path_.string()));
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
}

FileBytes::~FileBytes() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

bool FileBytes::read(std::uint64_t offset, std::span<std::byte> destination) const {
    while (!destination.empty()) {
        if (offset >= size_) return false;
        const ssize_t received =
            ::pread(descriptor_, destination.data(), destination.size(), static_cast<off_t>(offset));
        if (received < 0) {
            if (errno == EINTR) continue;
            throw Error(ExitCode::io_error, 902,
                        fmt::format("reading {} failed: {}.", path_.string(), std::strerror(errno)));
        }
        if (received == 0) return false;
        offset += static_cast<std::uint64_t>(received);
        destination = destination.subspan(static_cast<std::size_t>(received));
    }
    return true;
}

bool MemoryBytes::read(std::uint64_t offset, std::span<std::byte> destination) const {
    if (offset > bytes_.size() || destination.size() > bytes_.size() - offset) return false;
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), destination.size(),
                destination.begin());
    return true;
}

}  // namespace terrane::weights
