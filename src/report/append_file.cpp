#include "report/append_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace terrane::report {

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const off_t end = descriptor_ < 0 ? -1 : ::lseek(descriptor_, 0, SEEK_END);
    if (end < 0) {
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
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            throw Error(ExitCode::io_error, 901,
                        fmt::format("can't write {}: {}.", path_.string(), std::strerror(errno)),
                        errno == ENOSPC ? "Free some space and run the same command again." : "");
        }
        done += static_cast<std::size_t>(written);
    }
}

}  // namespace terrane::report
