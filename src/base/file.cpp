#include "base/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "base/fault.hpp"

namespace terrane {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* action, int reason) {
    const bool create = std::strcmp(action, "create") == 0;
    throw Error(create ? ExitCode::cannot_create : ExitCode::io_error, 901,
                fmt::format("can't {} {}: {}.", action, path.string(), std::strerror(reason)),
                reason == ENOSPC ? "Free some space and run the same command again." : "");
}

void sync_path(const std::filesystem::path& path, int flags) {
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
    if (descriptor < 0) fail(path, "open for fsync", errno);
    int failed = fault::file_operation(fault::FileOperation::fsync);
    if (failed == 0 && ::fsync(descriptor) != 0) failed = errno;
    ::close(descriptor);
    if (failed != 0) fail(path, "fsync", failed);
}

}  // namespace

CheckedFile::CheckedFile(std::filesystem::path path) : path_(std::move(path)) {
    if (const int failed = fault::file_operation(fault::FileOperation::create)) fail(path_, "create", failed);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail(path_, "create", errno);
}

CheckedFile::~CheckedFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void CheckedFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        if (const int failed = fault::file_operation(fault::FileOperation::write)) fail(path_, "write", failed);
        const ssize_t written = ::write(descriptor_, bytes.data(), fault::write_limit(bytes.size()));
        if (written < 0) {
            if (errno == EINTR) continue;
            fail(path_, "write", errno);
        }
        fault::wrote(static_cast<std::size_t>(written));
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void CheckedFile::finish() {
    int failed = fault::file_operation(fault::FileOperation::fsync);
    if (failed == 0 && ::fsync(descriptor_) != 0) failed = errno;
    if (failed != 0) fail(path_, "fsync", failed);  // never tried again: the pages it lost count as clean now
    const int descriptor = std::exchange(descriptor_, -1);
    if (::close(descriptor) != 0) fail(path_, "close", errno);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> content) {
    std::filesystem::path temporary = path;
    temporary += ".tmp";
    try {
        CheckedFile file(temporary);
        file.write(content);
        file.finish();
        publish_by_rename(temporary, path);
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw;
    }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
    write_file_atomically(path, std::as_bytes(std::span(content.data(), content.size())));
}

void create_folders(const std::filesystem::path& folder) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("the folder {} can't be created: {}.", folder.string(), failure.message()),
                    "Name another one.");
    }
}

void sync_folder(const std::filesystem::path& folder) { sync_path(folder, O_RDONLY | O_DIRECTORY); }
void sync_file(const std::filesystem::path& path) { sync_path(path, O_RDONLY); }

void publish_by_rename(const std::filesystem::path& temporary, const std::filesystem::path& final_path) {
    if (const int failed = fault::file_operation(fault::FileOperation::rename))
        fail(final_path, "rename onto", failed);
    if (::rename(temporary.c_str(), final_path.c_str()) != 0) fail(final_path, "rename onto", errno);
    const std::filesystem::path parent = final_path.parent_path();
    sync_folder(parent.empty() ? std::filesystem::path(".") : parent);
}

std::string read_text_file(const std::filesystem::path& path, std::size_t limit) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) {
        throw Error(ExitCode::input_missing, 902, fmt::format("{} can't be opened: {}.", path.string(), std::strerror(errno)));
    }
    const std::streamoff size = file.tellg();
    if (size < 0 || static_cast<std::size_t>(size) > limit) {
        throw Error(ExitCode::data_invalid, 902,
                    fmt::format("{} is larger than the {} bytes expected of such a file.", path.string(), limit));
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    file.seekg(0);
    file.read(text.data(), size);
    if (!file) throw Error(ExitCode::io_error, 902, fmt::format("reading {} failed.", path.string()));
    return text;
}

}  // namespace terrane
