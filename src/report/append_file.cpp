#include "report/append_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace terrane::report {

namespace {

/// Where the last whole line ends; -1 after a failure.
off_t end_of_lines(int descriptor) {
    off_t end = ::lseek(descriptor, 0, SEEK_END);
    std::array<char, 4096> part{};
    while (end > 0) {
        const off_t begin = std::max<off_t>(end - static_cast<off_t>(part.size()), 0);
        const ssize_t got = ::pread(descriptor, part.data(), static_cast<std::size_t>(end - begin), begin);
        if (got != end - begin) return -1;
        for (off_t at = end; at > begin; --at) {
            if (part[static_cast<std::size_t>(at - begin - 1)] == '\n') return at;
        }
        end = begin;
    }
    return end;
}

}  // namespace

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const off_t end = descriptor_ < 0 ? -1 : end_of_lines(descriptor_);
    if (end < 0 || ::ftruncate(descriptor_, end) != 0) {
        const int reason = errno;
        if (descriptor_ >= 0) ::close(descriptor_);
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't open {} for appending: {}.", path_.string(), std::strerror(reason)));
    }
    was_empty_ = end == 0;
}

AppendFile::~AppendFile() {
    ::close(descriptor_);
}

void AppendFile::write_line(const std::string& line) {
    const std::string text = line + "\n";
    const off_t begin = ::lseek(descriptor_, 0, SEEK_END);
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            const int reason = errno;
            // No half line stays; if that fails, too, the next opening removes it.
            if (begin >= 0) static_cast<void>(::ftruncate(descriptor_, begin) == 0);
            throw Error(ExitCode::io_error, 901,
                        fmt::format("can't write {}: {}.", path_.string(), std::strerror(reason)),
                        reason == ENOSPC ? "Free some space and run the same command again." : "");
        }
        done += static_cast<std::size_t>(written);
    }
}

}  // namespace terrane::report
