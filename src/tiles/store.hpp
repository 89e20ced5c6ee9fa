#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tiles/manifest.hpp"

namespace terrane::tiles {

/// An opened, read-only tile store: everything but the pixels. May be shared between threads.
class TileStore {
  public:
    /// Throws Error E0401 (66) if there is no store, E0402 (65) if it is damaged.
    explicit TileStore(std::filesystem::path folder);

    const std::filesystem::path& folder() const { return folder_; }
    const Manifest& manifest() const { return manifest_; }
    std::int64_t size() const { return static_cast<std::int64_t>(manifest_.tiles.size()); }
    const TileRecord& tile(std::int64_t index) const {
        return manifest_.tiles[static_cast<std::size_t>(index)];
    }
    /// Indices of a split's tiles, ascending.
    std::span<const std::int64_t> tiles_of(Split split) const {
        return split_tiles_[static_cast<std::size_t>(split)];
    }
    /// Labelled pixels of each class over the tiles of a split (pixels of overlapping tiles count in each).
    std::vector<std::int64_t> class_pixels(Split split) const;
    /// "tile 17 (scene naip, column 256, row 1024)": for messages.
    std::string describe(std::int64_t index) const;
    std::filesystem::path shard(std::size_t scene) const;
    /// A short form of the store's identity for the console: the first digits of the manifest's hash.
    std::string identity() const { return identity_; }

    /// Throws Error E0403 if the store was built with another [grid], [[modality]], [label], [[class]] or
    /// [split], and E0404 if a source raster was changed since (rasters that are no longer there are not
    /// looked for).
    void require(const config::Config& config) const;

  private:
    std::filesystem::path folder_;
    Manifest manifest_;
    std::array<std::vector<std::int64_t>, 3> split_tiles_;
    std::string identity_;
};

/// Where a tile's pixels go. Every span must have exactly the tile's size; empty spans are not read.
struct TileBuffers {
    std::vector<std::span<std::byte>> values;    ///< per modality [h, w, bands]
    std::vector<std::span<std::uint8_t>> masks;  ///< per modality [h, w], 1 valid, 0 not
    std::span<std::uint8_t> label;               ///< [tile, tile]: class index, or 255
    std::vector<std::span<std::uint8_t>>
        maps{};///< per map of the manifest [tile, tile]; may be left out as a whole
};

/// Reads tiles of a store, each with its checksums verified. One reader serves one thread; make one for each.
/// It keeps at most 64 shards open and allocates nothing once a shard is open.
class TileReader {
  public:
    explicit TileReader(const TileStore& store);
    ~TileReader();
    TileReader(const TileReader&) = delete;
    TileReader& operator=(const TileReader&) = delete;

    /// Throws Error E0410 (65) naming tile, dataset and file if a checksum differs, E0411 if the shard is
    /// missing, cut short or can't be read.
    void read(std::int64_t tile, const TileBuffers& buffers);

  private:
    int descriptor(std::size_t scene);
    void read_part(std::int64_t tile, const DatasetPlace& place, std::span<std::byte> into, std::uint32_t crc,
                   const char* modality, const char* part);

    struct OpenShard {
        int descriptor = -1;
        std::uint64_t last_used = 0;
    };
    const TileStore& store_;
    std::vector<OpenShard> shards_;
    std::size_t open_ = 0;
    std::uint64_t uses_ = 0;
};

}  // namespace terrane::tiles
