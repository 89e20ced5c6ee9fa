#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace terrane {

/// Writes a file so that it is either whole or absent: to `path` + ".tmp", every write checked, fsync, rename,
/// fsync of the folder. Throws Error E0901 (74; 73 if it can't be created) and removes the temporary on failure.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> content);
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// The folder with all folders above it, unless it is there. Throws Error E0901 (73).
void create_folders(const std::filesystem::path& folder);

/// A file opened for checked sequential writing; the building block of the functions above and of larger writers.
class CheckedFile {
  public:
    /// Creates or truncates the file. Throws Error E0901 (73) if that fails.
    explicit CheckedFile(std::filesystem::path path);
    ~CheckedFile();
    CheckedFile(const CheckedFile&) = delete;
    CheckedFile& operator=(const CheckedFile&) = delete;

    /// Writes all bytes or throws Error E0901 (74) with the system's reason.
    void write(std::span<const std::byte> bytes);
    /// fsync and close, checked. Without it the destructor closes and the content counts as unfinished.
    void finish();

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
};

/// fsync of a folder, so that a rename in it survives a power cut. Throws Error E0901.
void sync_folder(const std::filesystem::path& folder);
/// fsync of an existing file written by a library. Throws Error E0901.
void sync_file(const std::filesystem::path& path);
/// rename + fsync of the folder. Throws Error E0901.
void publish_by_rename(const std::filesystem::path& temporary, const std::filesystem::path& final_path);

/// The whole content of a text file of at most `limit` bytes. Throws Error E0902 (66 if missing, 65 if too large).
std::string read_text_file(const std::filesystem::path& path, std::size_t limit = std::size_t{64} << 20);

}  // namespace terrane
