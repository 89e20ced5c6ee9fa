#include "tiles/build.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/leftovers.hpp"
#include "raster/aligned_scene.hpp"
#include "scene.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/build_lock.hpp"
#include "tiles/verify.hpp"

using namespace terrane;
using namespace terrane::tiles;
using terrane::test::error_of;
using terrane::test::scene_config;
using terrane::test::write_scene;

namespace {

/// Ranks as threads of this process.
class ThreadRanks {
  public:
    explicit ThreadRanks(int size) : size_(size), texts_(static_cast<std::size_t>(size)) {}

    Ranks of(int rank) {
        return {rank, size_, [this, rank](const std::string& own) {
                    std::unique_lock lock(mutex_);
                    const std::uint64_t round = round_;
                    texts_[static_cast<std::size_t>(rank)] = own;
                    if (++arrived_ == size_) {
                        result_ = texts_;
                        arrived_ = 0;
                        ++round_;
                        changed_.notify_all();
                    } else {
                        changed_.wait(lock, [&] { return round_ != round; });
                    }
                    return result_;
                }};
    }

  private:
    int size_;
    std::vector<std::string> texts_, result_;
    int arrived_ = 0;
    std::uint64_t round_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
};

std::map<std::string, std::string> hashes(const std::filesystem::path& folder) {
    std::map<std::string, std::string> result;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) result[entry.path().filename().string()] = sha256_of_file(entry.path());
    }
    return result;
}

}  // namespace

TEST_CASE("stored tiles hold exactly what prediction reads at the same place") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    const config::Config config = scene_config(folder.path());
    const BuildReport report = build(config, folder.path() / "tiles", {});
    REQUIRE(report.built == 1);
    const TileStore store(folder.path() / "tiles");
    REQUIRE(store.size() > 20);
    for (const Split split : all_splits) REQUIRE_FALSE(store.tiles_of(split).empty());
    raster::AlignedScene scene(config, raster::find_scenes(config, raster::LabelUse::ignored)[0],
                               raster::LabelUse::ignored);
    TileReader reader(store);
    TileMemory memory(store.manifest());
    for (std::int64_t i = 0; i < store.size(); ++i) {
        reader.read(i, memory.buffers());
        for (std::size_t m = 0; m < 2; ++m) {
            std::vector<std::byte> values(memory.values[m].size());
            std::vector<std::uint8_t> mask(memory.masks[m].size());
            // A larger window around the tile, as prediction would use, cut down to the tile.
            scene.read(m, store.tile(i).window, values, mask);
            REQUIRE(values == memory.values[m]);
            REQUIRE(mask == memory.masks[m]);
        }
        const raster::Window& window = store.tile(i).window;
        for (std::int64_t p = 0; p < window.pixels(); ++p) {
            REQUIRE(memory.label[static_cast<std::size_t>(p)] == (window.column + p % 32) / 16 % 3);
        }
        REQUIRE(store.tile(i).class_pixels[0] + store.tile(i).class_pixels[1] +
                    store.tile(i).class_pixels[2] ==
                1024);
    }
}

TEST_CASE("one, two and three ranks build the same bytes") {
    const test::TemporaryFolder folder;
    for (const auto& [name, west] : {std::pair{"a", 500000.0}, {"b", 501000.0}, {"c", 502000.0}})
        write_scene(folder.path(), name, west, 128, 96);
    const config::Config config = scene_config(folder.path());
    std::map<std::string, std::string> first;
    for (const int size : {1, 2, 3}) {
        const auto out = folder.path() / fmt::format("tiles{}", size);
        ThreadRanks ranks(size);
        std::vector<std::thread> threads;
        std::atomic<int> built{0};
        for (int rank = 0; rank < size; ++rank) {
            threads.emplace_back(
                [&, rank] { built += static_cast<int>(build(config, out, ranks.of(rank)).built); });
        }
        for (std::thread& thread : threads) thread.join();
        REQUIRE(built == 3 * size);  // every rank reports the whole
        const auto found = hashes(out);
        REQUIRE(found.size() == 7);
        if (size == 1) first = found;
        // HDF5 stamps no times into these files, so even the shards are equal.
        REQUIRE(found == first);
    }
}

TEST_CASE("an error on one rank is thrown on all of them") {
    const test::TemporaryFolder folder;
    for (const auto& [name, west] : {std::pair{"a", 500000.0}, {"b", 501000.0}})
        write_scene(folder.path(), name, west, 128, 96);
    test::write_raster<std::uint8_t>(folder.path() / "label_b.tif",
                                     test::grid_at("EPSG:32633", 501000, 5400000, 1, 128, 96), 1,
                                     [](auto, auto, auto) { return std::uint8_t{77}; });
    const config::Config config = scene_config(folder.path());
    ThreadRanks ranks(2);
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < 2; ++rank) {
        threads.emplace_back([&, rank] {
            try {
                build(config, folder.path() / "tiles", ranks.of(rank));
            } catch (const Error& error) {
                if (error.number() == 311) ++failures;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(failures == 2);
    REQUIRE_FALSE(std::filesystem::exists(folder.path() / "tiles" / "manifest.json"));
}

TEST_CASE("a second build does nothing, and a changed raster rebuilds its scene only") {
    const test::TemporaryFolder folder;
    for (const auto& [name, west] : {std::pair{"a", 500000.0}, {"b", 501000.0}})
        write_scene(folder.path(), name, west);
    config::Config config = scene_config(folder.path());
    config.split.method = "files";
    config.split.files = {{"a", "train"}, {"b", "val"}};
    const auto out = folder.path() / "tiles";
    REQUIRE(build(config, out, {}).built == 2);
    REQUIRE(build(config, out, {}).up_to_date);
    const auto before = hashes(out);

    write_scene(folder.path(), "b", 501000);
    {
        const TileStore store(out);
        const Error error = error_of([&] { store.require(config); });
        REQUIRE(error.number() == 404);
        REQUIRE(error.message().find("_b.tif") != std::string::npos);
    }
    const BuildReport report = build(config, out, {});
    REQUIRE(report.built == 1);
    REQUIRE(report.reused == 1);
    TileStore(out).require(config);
    REQUIRE(hashes(out).size() == before.size());  // the outdated scene is gone

    config.modalities[1].resampling = "nearest";
    REQUIRE(error_of([&] { TileStore(out).require(config); }).number() == 403);
    REQUIRE(build(config, out, {}).built == 2);
    TileStore(out).require(config);
}

TEST_CASE("a killed build goes on at the scene it was at, and never shows half a store") {
    const test::TemporaryFolder folder;
    for (int i = 0; i < 6; ++i)
        write_scene(folder.path(), std::string(1, static_cast<char>('a' + i)), 500000 + 1000 * i, 512, 512);
    const config::Config config = scene_config(folder.path());
    const auto out = folder.path() / "tiles";
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        build(config, out, {});
        ::_exit(0);
    }
    // Kill it as soon as one scene is finished.
    for (int i = 0; i < 3000; ++i) {
        bool finished = false;
        std::error_code none;
        for (const auto& entry : std::filesystem::directory_iterator(out / "scenes", none))
            finished = finished || entry.path().extension() == ".json";
        if (finished) break;
        ::usleep(2000);
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(error_of([&] { TileStore store(out); }).number() == 401);
    const BuildReport report = build(config, out, {});
    REQUIRE(report.reused >= 1);
    REQUIRE(report.built + report.reused == 6);
    const auto resumed = hashes(out);
    build(config, folder.path() / "fresh", {});
    REQUIRE(resumed == hashes(folder.path() / "fresh"));
}

TEST_CASE("statistics come from valid pixels of training tiles only") {
    const test::TemporaryFolder folder;
    for (const auto& [name, west] : {std::pair{"a", 500000.0}, {"b", 501000.0}}) {
        write_scene(folder.path(), name, west, 64, 64);
        const bool train = std::string(name) == "a";
        test::write_raster<float>(
            folder.path() / (std::string("height_") + name + ".tif"),
            test::grid_at("EPSG:32633", west, 5400000, 2, 32, 32), 1,
            [&](auto c, auto r, auto) {
                if (c == 3 && r == 4) return std::numeric_limits<float>::quiet_NaN();
                if (c < 2) return -9999.0f;
                return train ? static_cast<float>(c % 2) : 1000.0f;
            },
            -9999.0);
    }
    config::Config config = scene_config(folder.path());
    config.modalities[1].relative = false;
    config.modalities[1].multiply = 3;
    config.modalities[1].add = 1;
    config.split.method = "files";
    config.split.files = {{"a", "train"}, {"b", "test"}};
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    const BandStatistics& statistics = store.manifest().modalities[1].statistics[0];
    REQUIRE(statistics.pixels == 30 * 32 - 1);
    REQUIRE(statistics.minimum == 1);
    REQUIRE(statistics.maximum == 4);
    REQUIRE(statistics.mean == Approx(1 + 3 * 480.0 / 959 - 3.0 / 959).margin(2e-3));
    std::int64_t non_finite = 0;
    for (std::int64_t i = 0; i < store.size(); ++i) non_finite += store.tile(i).modalities[1].non_finite;
    REQUIRE(non_finite == 2);  // one in each scene
}

TEST_CASE("a relative modality's base is the second percentile of each tile") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    build(scene_config(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    TileReader reader(store);
    TileMemory memory(store.manifest());
    for (std::int64_t i = 0; i < store.size(); ++i) {
        reader.read(i, memory.buffers());
        const auto* values = reinterpret_cast<const float*>(memory.values[1].data());
        std::int64_t below = 0;
        for (std::size_t p = 0; p < 256; ++p) below += values[p] < store.tile(i).modalities[1].base;
        REQUIRE(below <= 6);
        REQUIRE(below >= 4);
    }
}

TEST_CASE("bad scenes are refused with what, where and why") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000, 128, 96);
    const config::Config good = scene_config(folder.path());
    const auto out = folder.path() / "tiles";
    const auto grid = test::grid_at("EPSG:32633", 500000, 5400000, 1, 128, 96);

    config::Config config = good;
    config.grid.tile = 128;
    const Error large = error_of([&] { build(config, out, {}); });
    REQUIRE(large.number() == 315);
    REQUIRE(large.message().find("128 x 128") != std::string::npos);
    REQUIRE(large.message().find("128 x 96") != std::string::npos);

    config = good;
    config.grid.tile = 33;
    REQUIRE(error_of([&] { build(config, out, {}); }).number() == 502);

    config = good;
    config.modalities[0].bands = {1, 4};
    REQUIRE(error_of([&] { build(config, out, {}); }).number() == 206);

    config = good;
    config.modalities[1].nodata_also = {};
    config.modalities[1].clip_low = 0;
    test::write_raster<float>(
        folder.path() / "height_a.tif", grid, 1, [](auto, auto, auto) { return -1.0f; }, -1.0);
    const Error empty = error_of([&] { build(config, out, {}); });
    REQUIRE(empty.number() == 210);
    REQUIRE(empty.message().find("height_a.tif") != std::string::npos);
    REQUIRE(empty.exit_code() == ExitCode::data_invalid);

    test::write_raster<float>(folder.path() / "height_a.tif",
                              test::grid_at("EPSG:32633", 600000, 5400000, 1, 128, 96), 1,
                              [](auto, auto, auto) { return 1.0f; });
    REQUIRE(error_of([&] { build(good, out, {}); }).number() == 208);

    test::write_raster<float>(
        folder.path() / "height_a.tif", test::grid_at("EPSG:32633", 500000, 5400000, 0.05, 2560, 1920), 1,
        [](auto c, auto r, auto) { return static_cast<float>((c * 2654435761u ^ r * 40503u) % 1000003u); });
    std::filesystem::resize_file(folder.path() / "height_a.tif",
                                 std::filesystem::file_size(folder.path() / "height_a.tif") * 9 / 10);
    const Error cut = error_of([&] { build(good, out, {}); });
    REQUIRE(cut.exit_code() == ExitCode::data_invalid);
    REQUIRE(cut.message().find("height_a.tif") != std::string::npos);

    std::filesystem::remove(folder.path() / "height_a.tif");
    REQUIRE(error_of([&] { build(good, out, {}); }).exit_code() == ExitCode::input_missing);
    REQUIRE_FALSE(std::filesystem::exists(out / "manifest.json"));
    if (std::filesystem::exists(out / "scenes")) REQUIRE(std::filesystem::is_empty(out / "scenes"));
}

TEST_CASE("a full disk ends the build with exit code 74 and leaves nothing half-written") {
    const test::TemporaryFolder folder;
    const auto small = folder.path() / "small";
    std::filesystem::create_directories(small);
    if (::mount("none", small.c_str(), "tmpfs", 0, "size=1m") != 0) {
        WARN("no permission to mount a small tmpfs: not tested");
        return;
    }
    write_scene(folder.path(), "a", 500000, 1024, 1024);
    const Error error = error_of([&] { build(scene_config(folder.path()), small / "tiles", {}); });
    const bool nothing_left = !std::filesystem::exists(small / "tiles");
    ::umount(small.c_str());
    REQUIRE(error.exit_code() == ExitCode::io_error);
    REQUIRE(error.message().find(".h5") != std::string::npos);
    REQUIRE(nothing_left);
}

TEST_CASE("two builds into one folder: the second is refused and names the first") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    const auto config = scene_config(folder.path());
    const auto tiles = folder.path() / "tiles";
    {
        const BuildLock lock(tiles);
        const Error error = error_of([&] { build(config, tiles, {}); });
        REQUIRE(error.number() == 422);
        REQUIRE(error.exit_code() == ExitCode::cannot_create);
        REQUIRE(error.message().find(process_tag()) != std::string::npos);
        REQUIRE(error.message().find(tiles.string()) != std::string::npos);
        REQUIRE_FALSE(std::filesystem::exists(tiles / "manifest.json"));
    }
    REQUIRE_FALSE(std::filesystem::exists(tiles));
    // The lock file of a killed build is no lock.
    std::filesystem::create_directories(tiles);
    write_file_atomically(tiles / ".building", "4711-elsewhere");
    REQUIRE(build(config, tiles, {}).built == 1);
    REQUIRE_FALSE(std::filesystem::exists(tiles / ".building"));
    REQUIRE(TileStore(tiles).size() > 0);
}
