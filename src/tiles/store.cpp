#include "tiles/store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "base/hash.hpp"
#include "base/slow_read.hpp"
#include "tiles/fingerprint.hpp"

namespace terrane::tiles {

namespace {

constexpr std::size_t most_open_shards = 64;
// Checksummed piece by piece while the piece is still in the core's cache.
constexpr std::size_t piece = 128 << 10;

}  // namespace

TileStore::TileStore(std::filesystem::path folder)
    : folder_(std::move(folder)), manifest_(read_manifest(folder_)) {
    for (std::size_t i = 0; i < manifest_.tiles.size(); ++i) {
        split_tiles_[static_cast<std::size_t>(manifest_.tiles[i].split)].push_back(
            static_cast<std::int64_t>(i));
    }
    identity_ = sha256_of_file(folder_ / "manifest.json").substr(0, 8);
}

std::vector<std::int64_t> TileStore::class_pixels(Split split) const {
    std::vector<std::int64_t> sum(manifest_.classes.size());
    for (const std::int64_t index : tiles_of(split)) {
        for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += tile(index).class_pixels[c];
    }
    return sum;
}

std::string TileStore::describe(std::int64_t index) const {
    const TileRecord& record = tile(index);
    return fmt::format("tile {} (scene {}, column {}, row {})", index, manifest_.scenes[record.scene].id,
                       record.window.column, record.window.row);
}

std::filesystem::path TileStore::shard(std::size_t scene) const {
    return folder_ / "scenes" / (manifest_.scenes[scene].stem + ".h5");
}

void TileStore::require(const config::Config& config) const {
    if (manifest_.config_fingerprint != data_fingerprint(config)) {
        throw Error(ExitCode::data_invalid, 403,
                    fmt::format("the tile store {} was built with another [grid], [[modality]], [label], "
                                "[scribble], [pseudo], "
                                "[[class]] or [split] than this configuration has.",
                                folder_.string()),
                    "Run 'terrane data build' with this configuration, or set data.tiles to another folder.");
    }
    for (const SceneRecord& scene : manifest_.scenes) {
        for (const StoredSource& source : scene.sources) {
            if (!std::filesystem::exists(source.path)) continue;
            if (raster::fingerprint(source.path) != source.fingerprint) {
                throw Error(ExitCode::data_invalid, 404,
                            fmt::format("{} was changed after the tile store {} was built from it.",
                                        source.path, folder_.string()),
                            "Run 'terrane data build' again: it rebuilds the scenes that changed.");
            }
        }
    }
}

TileReader::TileReader(const TileStore& store) : store_(store), shards_(store.manifest().scenes.size()) {}

TileReader::~TileReader() {
    for (const OpenShard& shard : shards_) {
        if (shard.descriptor >= 0) ::close(shard.descriptor);
    }
}

int TileReader::descriptor(std::size_t scene) {
    OpenShard& shard = shards_[scene];
    shard.last_used = ++uses_;
    if (shard.descriptor >= 0) return shard.descriptor;
    if (open_ >= most_open_shards) {
        OpenShard* oldest = nullptr;
        for (OpenShard& other : shards_) {
            if (other.descriptor >= 0 && (oldest == nullptr || other.last_used < oldest->last_used))
                oldest = &other;
        }
        ::close(oldest->descriptor);
        oldest->descriptor = -1;
        --open_;
    }
    const std::filesystem::path path = store_.shard(scene);
    shard.descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (shard.descriptor < 0) {
        throw Error(errno == ENOENT ? ExitCode::input_missing : ExitCode::io_error, 411,
                    fmt::format("{} can't be opened: {}.", path.string(), std::strerror(errno)),
                    "Run 'terrane data build' again.");
    }
    ++open_;
    return shard.descriptor;
}

void TileReader::read_part(std::int64_t tile, const DatasetPlace& place, std::span<std::byte> into,
                           std::uint32_t crc, const char* modality, const char* part) {
    const TileRecord& record = store_.tile(tile);
    TERRANE_ASSERT(into.size() == place.bytes, "a buffer of {} bytes for {}/{} of {}", into.size(), modality,
                   part, place.bytes);
    const int file = descriptor(record.scene);
    std::uint64_t offset = place.offset + static_cast<std::uint64_t>(record.index) * place.bytes;
    std::uint32_t found = 0;
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t count = ::pread(file, into.data() + done, std::min(piece, into.size() - done),
                                      static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            throw Error(count == 0 ? ExitCode::data_invalid : ExitCode::io_error, 411,
                        fmt::format("{} of {} can't be read: {}.", store_.describe(tile),
                                    store_.shard(record.scene).string(),
                                    count == 0 ? "the file is cut short" : std::strerror(errno)),
                        "Run 'terrane data build --overwrite'.");
        }
        const auto bytes = static_cast<std::size_t>(count);
        found = crc32c(into.subspan(done, bytes), found);
        done += bytes;
        offset += bytes;
    }
    if (found != crc) {
        throw Error(
            ExitCode::data_invalid, 410,
            fmt::format("the checksum of {}/{} of {} in {} differs: the file was damaged after it was built.",
                        modality, part, store_.describe(tile), store_.shard(record.scene).string()),
            "Run 'terrane data build --overwrite', and check the disk.");
    }
}

void TileReader::read(std::int64_t tile, const TileBuffers& buffers) {
    const Manifest& manifest = store_.manifest();
    const TileRecord& record = store_.tile(tile);
    const SceneRecord& scene = manifest.scenes[record.scene];
    const auto what = [&] {
        return fmt::format("{} of {}", store_.describe(tile), store_.shard(record.scene).string());
    };
    const slow_read::UnderWay under_way(what);
    fault::reading_tile();
    TERRANE_ASSERT(buffers.values.size() == manifest.modalities.size() &&
                       buffers.masks.size() == manifest.modalities.size(),
                   "buffers for {} of {} modalities", buffers.values.size(), manifest.modalities.size());
    for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
        const char* name = manifest.modalities[m].name.c_str();
        if (!buffers.values[m].empty()) {
            read_part(tile, scene.values[m], buffers.values[m], record.modalities[m].values_crc, name,
                      "values");
        }
        if (!buffers.masks[m].empty()) {
            read_part(tile, scene.masks[m], std::as_writable_bytes(buffers.masks[m]),
                      record.modalities[m].mask_crc, name, "mask");
        }
    }
    if (!buffers.label.empty()) {
        read_part(tile, scene.label, std::as_writable_bytes(buffers.label), record.label_crc, "label",
                  "label");
    }
    TERRANE_ASSERT(buffers.maps.empty() || buffers.maps.size() == manifest.maps.size(),
                   "buffers for {} of {} maps", buffers.maps.size(), manifest.maps.size());
    for (std::size_t m = 0; m < buffers.maps.size(); ++m) {
        if (buffers.maps[m].empty()) continue;
        read_part(tile, scene.maps[m], std::as_writable_bytes(buffers.maps[m]), record.maps[m].crc, "maps",
                  manifest.maps[m].c_str());
    }
}

}  // namespace terrane::tiles
