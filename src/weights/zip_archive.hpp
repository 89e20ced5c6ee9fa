#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "weights/byte_source.hpp"

struct zip;

namespace terrane::weights {

/// A zip archive as PyTorch writes it: every entry stored as it is. Anything else is refused, so that an
/// archive never holds more than its file has bytes. libzip reads it and checks its consistency and
/// checksums.
class ZipArchive {
  public:
    /// The bytes must outlive the archive. Throws Error E0623 (65) naming `file` if the archive is damaged or
    /// has entries that are compressed, encrypted, double, or together larger than the file.
    ZipArchive(const ByteSource& bytes, std::string file);
    ~ZipArchive();
    ZipArchive(const ZipArchive&) = delete;
    ZipArchive& operator=(const ZipArchive&) = delete;

    struct Entry {
        std::uint64_t index = 0;
        std::uint64_t size = 0;
    };
    const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
    const Entry* find(std::string_view name) const;
    /// Copies bytes of an entry from `offset` on; a read that reaches the entry's end from its beginning also
    /// checks its CRC. Throws Error E0623.
    void read(std::string_view name, const Entry& entry, std::uint64_t offset,
              std::span<std::byte> destination) const;

  private:
    [[noreturn]] void refuse(const std::string& reason) const;

    std::string file_;
    std::unique_ptr<zip, void (*)(zip*)> archive_;
    std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace terrane::weights
