#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace terrane {

/// CRC-32C (Castagnoli) of a byte range; pass the previous result to continue over several ranges.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous = 0);

/// CRC-64 (ECMA-182, reflected) of a byte range: 64 bits at the speed of memory, against accidents only.
std::uint64_t crc64(std::span<const std::byte> bytes);

/// Incremental SHA-256.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);
    /// The digest in lower-case hexadecimal; the object takes no more input afterwards.
    std::string finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// SHA-256 of a text, in hexadecimal.
std::string sha256(std::string_view text);
/// SHA-256 of a file's content, in hexadecimal. Throws Error E0902 if it can't be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace terrane
