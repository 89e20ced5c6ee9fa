#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace terrane::weights {

/// Bytes that can be read anywhere: a file, or memory in tests and fuzzing.
class ByteSource {
  public:
    ByteSource() = default;
    virtual ~ByteSource() = default;
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    virtual std::uint64_t size() const = 0;
    /// Fills the destination from `offset` on. False if the source ends before. Throws Error E0902 if reading
    /// fails.
    virtual bool read(std::uint64_t offset, std::span<std::byte> destination) const = 0;
};

/// A regular file, opened once, so that what was checked is what is read later.
class FileBytes final : public ByteSource {
  public:
    /// Throws Error E0902 (66) if the file can't be opened, E0601 (65) if it is not a regular file.
    explicit FileBytes(std::filesystem::path path);
    ~FileBytes() override;

    std::uint64_t size() const override { return size_; }
    bool read(std::uint64_t offset, std::span<std::byte> destination) const override;

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
};

/// Memory of somebody else.
class MemoryBytes final : public ByteSource {
  public:
    explicit MemoryBytes(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::uint64_t size() const override { return bytes_.size(); }
    bool read(std::uint64_t offset, std::span<std::byte> destination) const override;

  private:
    std::span<const std::byte> bytes_;
};

}  // namespace terrane::weights
