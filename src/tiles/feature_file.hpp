#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tiles/manifest.hpp"

namespace terrane::tiles {

/// What a file of features must be, to be used: whose they are, how many records, of how many bytes.
struct FeatureFileSpec {
    std::string fingerprint;  ///< of everything that the numbers depend on
    std::int64_t records = 0;
    std::int64_t record_bytes = 0;
};

/// Writes an HDF5 file of equally long records: dataset "features" u8 [records, record_bytes], dataset
/// "checksums" u32 [records] (CRC-32C), attribute "fingerprint". To a temporary name, every write checked,
/// synced and renamed by finish(); without finish() the destructor removes the temporary. Throws Error E0420
/// (74; 73 if it can't be created).
class FeatureFileWriter {
  public:
    FeatureFileWriter(std::filesystem::path path, const FeatureFileSpec& spec);
    ~FeatureFileWriter();
    FeatureFileWriter(const FeatureFileWriter&) = delete;
    FeatureFileWriter& operator=(const FeatureFileWriter&) = delete;

    void write(std::int64_t record, std::span<const std::byte> bytes);
    void finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// A finished file of features. Holds no descriptor, so that there may be any number of them.
class FeatureFile {
  public:
    /// Why the file there can't be used as `spec`: it is missing, no such file, or somebody else's. Empty if
    /// it can.
    static std::string unusable(const std::filesystem::path& path, const FeatureFileSpec& spec);

    /// Throws Error E0411 (65) if the file is unusable.
    FeatureFile(std::filesystem::path path, const FeatureFileSpec& spec);

    /// Throws Error E0410 (65) if the checksum differs, E0411 if the file can't be read.
    void read(std::int64_t record, std::span<std::byte> bytes) const;

  private:
    std::string open(const FeatureFileSpec& spec);

    std::filesystem::path path_;
    DatasetPlace place_;
    std::vector<std::uint32_t> checksums_;
};

}  // namespace terrane::tiles
