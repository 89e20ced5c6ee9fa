#include "base/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/leftovers.hpp"
#include "base/log.hpp"

namespace terrane {

namespace {

/// Whether the file behind the descriptor is still the one with that name: its last holder may have removed
/// it between our opening and our locking.
bool is_still_named(int descriptor, const std::filesystem::path& path) {
    struct stat opened {
    }, named{};
    return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/// The process_tag in the file; empty if it holds none yet or is gone.
std::string holder_of(const std::filesystem::path& file) {
    try {
        return read_text_file(file, 4096);
    } catch (const Error&) {
        return {};  // it has just finished
    }
}

[[noreturn]] void refuse(const FolderLock::Settings& settings, const std::string& holder,
                         const std::string& more = "") {
    throw Error(ExitCode::cannot_create, settings.number,
                fmt::format("{} by {} right now.", settings.what,
                            holder.empty() ? "another process" : "process " + holder),
                settings.fix + more);
}

[[noreturn]] void fail_to_create(const std::filesystem::path& file, int reason) {
    throw Error(ExitCode::cannot_create, 901,
                fmt::format("can't create {}: {}.", file.string(), std::strerror(reason)));
}

bool write_holder(int descriptor) {
    const std::string holder = process_tag();
    return ::ftruncate(descriptor, 0) == 0 &&
           ::pwrite(descriptor, holder.data(), holder.size(), 0) == static_cast<ssize_t>(holder.size());
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, const Settings& settings)
    : folder_(folder), file_(folder / settings.file) {
    std::error_code failed;
    created_ = std::filesystem::create_directories(folder, failed);
    if (failed) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't create {}: {}.", folder.string(), failed.message()));
    }
    if (settings.by == Settings::By::file) {
        lock_by_file(settings);
    } else {
        lock_by_kernel(settings);
    }
}

void FolderLock::lock_by_kernel(const Settings& settings) {
    while (!held_) {
        int opened = ::open(file_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        const bool made_here = opened >= 0;
        if (opened < 0 && errno == EEXIST) opened = ::open(file_.c_str(), O_RDWR | O_CLOEXEC);
        if (opened < 0 && errno == ENOENT) continue;  // its holder has just removed it
        if (opened < 0) fail_to_create(file_, errno);
        if (::flock(opened, LOCK_EX | LOCK_NB) != 0) {
            const int reason = errno;
            ::close(opened);
            if (reason == EINTR) continue;
            if (reason != ENOLCK && reason != EOPNOTSUPP && reason != ENOSYS)
                refuse(settings, holder_of(file_));
            std::error_code ignored;
            if (made_here) std::filesystem::remove(file_, ignored);
            return lock_by_file(settings);
        }
        if (!is_still_named(opened, file_)) {
            ::close(opened);
            continue;
        }
        descriptor_ = opened;
        held_ = true;
    }
    if (!write_holder(descriptor_)) log::debug("{} does not name its holder", file_.string());
}

void FolderLock::lock_by_file(const Settings& settings) {
    while (!held_) {
        const int opened = ::open(file_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (opened >= 0) {
            const bool written = write_holder(opened);
            const int reason = errno;
            ::close(opened);
            std::error_code ignored;
            if (!written) std::filesystem::remove(file_, ignored);
            if (!written) fail_to_create(file_, reason);
            held_ = true;
            return;
        }
        if (errno != EEXIST) fail_to_create(file_, errno);
        const std::string holder = holder_of(file_);
        if (!is_of_dead_process(holder))
            refuse(settings, holder, fmt::format(" If that process is gone, remove {}.", file_.string()));
        log::warning("{} was left by process {}, which is gone", file_.string(), holder);
        std::error_code failed;
        std::filesystem::remove(file_, failed);
        if (failed) refuse(settings, holder);
    }
}

FolderLock::~FolderLock() {
    std::error_code ignored;
    if (held_) std::filesystem::remove(file_, ignored);
    if (descriptor_ >= 0) ::close(descriptor_);
    if (created_) std::filesystem::remove(folder_, ignored);  // only if it is empty
}

}  // namespace terrane
