#include "tiles/store.hpp"

#include <fstream>
#include <thread>

#include "base/fault.hpp"
#include "base/file.hpp"
#include "base/philox.hpp"
#include "base/slow_read.hpp"
#include "scene.hpp"
#include "support/catch.hpp"
#include "support/counted_new.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/preview.hpp"
#include "tiles/verify.hpp"

using namespace terrane;
using namespace terrane::tiles;
using terrane::test::error_of;
using terrane::test::scene_config;
using terrane::test::write_scene;

namespace {

thread_local std::int64_t allocations = 0;

void flip_bit(const std::filesystem::path& path, std::uint64_t byte, int bit) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(byte));
    char value = 0;
    file.get(value);
    file.seekp(static_cast<std::streamoff>(byte));
    file.put(static_cast<char>(value ^ (1 << bit)));
}

}  // namespace

void terrane::test::count_allocation(std::size_t, const void*) {
    ++allocations;
}

TEST_CASE("a flipped bit anywhere in a tile is found, with tile, dataset and file") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    build(scene_config(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    REQUIRE(verify(store, {}).problems.empty());
    const SceneRecord& scene = store.manifest().scenes[0];
    TileReader reader(store);
    TileMemory memory(store.manifest());
    PhiloxStream stream(1, 2);
    for (int trial = 0; trial < 60; ++trial) {
        const std::int64_t tile = stream.below(static_cast<std::uint32_t>(store.size()));
        const DatasetPlace& place = trial % 3 == 0   ? scene.values[1]
                                    : trial % 3 == 1 ? scene.masks[0]
                                                     : scene.label;
        const std::uint64_t byte = place.offset + static_cast<std::uint64_t>(tile) * place.bytes +
                                   stream.below(static_cast<std::uint32_t>(place.bytes));
        const int bit = static_cast<int>(stream.below(8));
        flip_bit(store.shard(0), byte, bit);
        const Error error = error_of([&] { reader.read(tile, memory.buffers()); });
        REQUIRE(error.number() == 410);
        REQUIRE(error.exit_code() == ExitCode::data_invalid);
        REQUIRE(error.message().find(fmt::format("tile {} ", tile)) != std::string::npos);
        REQUIRE(error.message().find(store.shard(0).string()) != std::string::npos);
        if (trial < 3) {
            const VerifyReport report = verify(store, {});
            REQUIRE(report.tiles == store.size());
            REQUIRE(report.problems.size() == 1);
        }
        flip_bit(store.shard(0), byte, bit);
        reader.read(tile, memory.buffers());
    }
}

TEST_CASE("a damaged record, manifest or shard never opens as if it were whole") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000, 96, 96);
    build(scene_config(folder.path()), folder.path() / "tiles", {});
    const auto manifest = folder.path() / "tiles" / "manifest.json";
    const std::string text = read_text_file(manifest);
    const TileStore store(folder.path() / "tiles");
    const auto record = folder.path() / "tiles" / "scenes" / (store.manifest().scenes[0].stem + ".json");
    const std::string record_text = read_text_file(record);

    std::filesystem::resize_file(store.shard(0), std::filesystem::file_size(store.shard(0)) - 5000);
    const VerifyReport cut = verify(store, {});
    REQUIRE_FALSE(cut.problems.empty());

    write_file_atomically(record, record_text.substr(0, record_text.size() / 2));
    REQUIRE(error_of([&] { TileStore(folder.path() / "tiles"); }).number() == 402);
    write_file_atomically(record, record_text);

    // Every mutation is refused with an Error or leaves a store that reads back; none crashes.
    PhiloxStream stream(7, 8);
    for (int trial = 0; trial < 400; ++trial) {
        std::string changed = text;
        const auto at = stream.below(static_cast<std::uint32_t>(changed.size()));
        switch (stream.below(4)) {
            case 0:
                changed[at] = static_cast<char>(stream.below(256));
                break;
            case 1:
                changed.resize(at);
                break;
            case 2:
                changed.insert(at, "9");
                break;
            default:
                changed.erase(at, 1 + stream.below(20));
                break;
        }
        write_file_atomically(manifest, changed);
        try {
            const TileStore opened(folder.path() / "tiles");
            REQUIRE(opened.size() == store.size());
        } catch (const Error& error) {
            REQUIRE(error.exit_code() != ExitCode::internal);
        }
    }
    // The record's own parser, without the hash in front of it.
    for (int trial = 0; trial < 400; ++trial) {
        std::string changed = record_text;
        const auto at = stream.below(static_cast<std::uint32_t>(changed.size()));
        if (stream.below(2) == 0) {
            changed[at] = static_cast<char>('0' + stream.below(10));
        } else {
            changed.insert(at, "-99999999999");
        }
        SceneRecord scene;
        std::vector<TileRecord> tiles;
        try {
            scene_from_text(changed, store.manifest(), "record", scene, tiles);
            for (const TileRecord& tile : tiles) REQUIRE(tile.window.column + 32 <= scene.grid.width);
        } catch (const Error& error) {
            REQUIRE(error.exit_code() != ExitCode::internal);
        }
    }
}

TEST_CASE("a tile whose read does not return is named by another thread, with its shard") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    build(scene_config(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    fault::arm("sleep@tile=2;seconds=0.3", 0);
    std::thread reading([&] {
        TileReader reader(store);
        TileMemory memory(store.manifest());
        reader.read(0, memory.buffers());
        reader.read(1, memory.buffers());
    });
    std::string named;
    while (named.find("tile 1") == std::string::npos) {
        std::this_thread::yield();
        if (const auto oldest = slow_read::oldest()) named = oldest->what;
    }
    reading.join();
    fault::disarm();
    CHECK(named == fmt::format("{} of {}", store.describe(1), store.shard(0).string()));
    CHECK_FALSE(slow_read::oldest());
}

TEST_CASE("reading tiles allocates nothing after warm-up, from several threads at once") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    build(scene_config(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    std::vector<std::thread> threads;
    std::array<std::int64_t, 3> counted{};
    for (std::size_t t = 0; t < counted.size(); ++t) {
        threads.emplace_back([&, t] {
            TileReader reader(store);
            TileMemory memory(store.manifest());
            reader.read(0, memory.buffers());
            const std::int64_t before = allocations;
            for (std::int64_t i = 0; i < store.size(); ++i) reader.read(i, memory.buffers());
            counted[t] = allocations - before;
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::int64_t count : counted) REQUIRE(count == 0);
}

TEST_CASE("a preview of a store is a picture of its tiles") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    build(scene_config(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    write_preview(store, Split::train, 3, folder.path() / "preview.png");
    const raster::RasterInfo info = raster::describe(folder.path() / "preview.png");
    REQUIRE(info.grid.width == 3 * 36 + 4);
    REQUIRE(info.grid.height == 3 * 36 + 4);
}
