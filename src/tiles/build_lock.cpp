#include "tiles/build_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/leftovers.hpp"
#include "base/log.hpp"

namespace terrane::tiles {

namespace {

/// Whether the file behind the descriptor is still the one with that name: its last holder may have removed
/// it between our opening and our locking.
bool is_still_named(int descriptor, const std::filesystem::path& path) {
    struct stat opened {
    }, named{};
    return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

std::string holder_of(const std::filesystem::path& file) {
    try {
        const std::string text = read_text_file(file, 4096);
        if (!text.empty()) return "process " + text;
    } catch (const Error&) {
        // It has just finished.
    }
    return "another process";
}

}  // namespace

BuildLock::BuildLock(const std::filesystem::path& folder) : folder_(folder), file_(folder / ".building") {
    std::error_code failed;
    created_ = std::filesystem::create_directories(folder, failed);
    if (failed) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't create {}: {}.", folder.string(), failed.message()));
    }
    while (descriptor_ < 0) {
        const int opened = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (opened < 0) {
            throw Error(ExitCode::cannot_create, 901,
                        fmt::format("can't create {}: {}.", file_.string(), std::strerror(errno)));
        }
        if (::flock(opened, LOCK_EX | LOCK_NB) != 0) {
            const int reason = errno;
            ::close(opened);
            if (reason == EINTR) continue;
            // A file system without locks must not keep anybody from building.
            if (reason == ENOLCK || reason == EOPNOTSUPP || reason == ENOSYS) {
                std::filesystem::remove(file_, failed);
                return;
            }
            throw Error(ExitCode::cannot_create, 422,
                        fmt::format("the tile folder {} is being built by {} right now.", folder.string(),
                                    holder_of(file_)),
                        "Wait until it is done, or build into another folder with -o.");
        }
        if (is_still_named(opened, file_)) {
            descriptor_ = opened;
        } else {
            ::close(opened);
        }
    }
    const std::string holder = process_tag();
    const bool written =
        ::ftruncate(descriptor_, 0) == 0 &&
        ::pwrite(descriptor_, holder.data(), holder.size(), 0) == static_cast<ssize_t>(holder.size());
    if (!written) log::debug("{} does not name its holder", file_.string());  // a second build's message only
}

BuildLock::~BuildLock() {
    std::error_code ignored;
    if (descriptor_ >= 0) {
        std::filesystem::remove(file_, ignored);
        ::close(descriptor_);
    }
    // Both only if they are empty.
    std::filesystem::remove(folder_ / "scenes", ignored);
    if (created_) std::filesystem::remove(folder_, ignored);
}

}  // namespace terrane::tiles
