#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tiles/manifest.hpp"

namespace terrane::tiles {

/// Writes the HDF5 file of one scene: to a temporary name, every write checked, synced and renamed by
/// finish(). Without finish() the destructor removes the temporary. Throws Error E0420 (74; 73 if it can't be
/// created).
class ShardWriter {
  public:
    /// `layout` gives tile, modalities, classes and maps.
    ShardWriter(std::filesystem::path path, const Manifest& layout, std::int64_t tiles);
    ~ShardWriter();
    ShardWriter(const ShardWriter&) = delete;
    ShardWriter& operator=(const ShardWriter&) = delete;

    void write_modality(std::int64_t tile, std::size_t modality, std::span<const std::byte> values,
                        std::span<const std::uint8_t> mask);
    void write_label(std::int64_t tile, std::span<const std::uint8_t> label);
    void write_map(std::int64_t tile, std::size_t map, std::span<const std::uint8_t> values);
    /// Publishes the file and fills in where its datasets lie.
    void finish(SceneRecord& scene);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Checks that the HDF5 structure of a shard is what its record says: types, sizes, places. Returns a
/// description of what is wrong, empty if nothing is.
std::string check_shard(const std::filesystem::path& path, const Manifest& layout, const SceneRecord& scene);

}  // namespace terrane::tiles
