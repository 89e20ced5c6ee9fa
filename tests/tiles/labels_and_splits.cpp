#include <fstream>
#include <numeric>
#include <set>

#include "raster/aligned_scene.hpp"
#include "scene.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/label_coding.hpp"
#include "tiles/split_plan.hpp"

using namespace terrane;
using namespace terrane::tiles;
using terrane::test::error_of;
using terrane::test::grid_at;
using terrane::test::scene_config;
using terrane::test::write_raster;
using terrane::test::write_scene;

namespace {

std::set<std::pair<std::int64_t, std::int64_t>> pixels_of(const TileStore& store, Split split) {
    std::set<std::pair<std::int64_t, std::int64_t>> pixels;
    for (const std::int64_t i : store.tiles_of(split)) {
        const raster::Window& window = store.tile(i).window;
        for (std::int64_t p = 0; p < window.pixels(); ++p)
            pixels.insert({window.column + p % window.width, window.row + p / window.width});
    }
    return pixels;
}

}  // namespace

TEST_CASE("label values of no class are an error with their pixel count") {
    const test::TemporaryFolder folder;
    const auto grid = grid_at("EPSG:32633", 500000, 5400000, 1, 400, 300);
    const auto file = folder.path() / "a7.tif";
    write_raster<std::uint8_t>(
        file, grid, 1, [](auto c, auto r, auto) -> std::uint8_t { return c < 100 && r < 130 ? 6 : 1; });
    config::Config config = scene_config(folder.path());
    config.label.ignore = {255};
    const Error error = error_of([&] { LabelCoding(config).check({file}); });
    REQUIRE(std::string(error.what()) == "error[E0311]: label value 6 in " + file.string() +
                                             " (13 000 px) is in no [[class]] and not in label.ignore=[255]. "
                                             "Add it, remap it, or set label.undefined=\"ignore\".");
    REQUIRE(error.exit_code() == ExitCode::data_invalid);
    config.label.remap = {{6, 2}};
    LabelCoding(config).check({file});
    config.label.remap.clear();
    config.label.undefined = "ignore";
    LabelCoding(config).check({file});
    config.label.undefined = "error";
    config.label.ignore = {255, 6};
    LabelCoding(config).check({file});
    config.label.remap = {{6, 99}};
    REQUIRE(error_of([&] { LabelCoding coding(config); }).number() == 303);
}

TEST_CASE("colours of no class are an error with their pixel counts") {
    const test::TemporaryFolder folder;
    const auto grid = grid_at("EPSG:32633", 500000, 5400000, 1, 64, 64);
    const auto file = folder.path() / "rgb.tif";
    write_raster<std::uint8_t>(file, grid, 3, [](auto c, auto r, auto b) -> std::uint8_t {
        if (r == 0 && c < 5) return b == 1 ? 254 : 0;
        if (r == 1 && c < 3) return 9;
        return b == c / 32 ? 255 : 0;
    });
    config::Config config = scene_config(folder.path());
    config.label.encoding = "palette";
    const Error error = error_of([&] { LabelCoding(config).check({file}); });
    REQUIRE(error.number() == 311);
    REQUIRE(error.message().find("(0,254,0) (5 px), (9,9,9) (3 px)") != std::string::npos);
    config.label.ignore = {0x090909};
    config.label.remap = {{0x00fe00, 2}};
    LabelCoding(config).check({file});
    raster::AlignedReader reader(raster::label_source(config.label, {file}), grid);
    std::vector<std::byte> values(64 * 64 * 3);
    std::vector<std::uint8_t> mask(64 * 64), label(64 * 64);
    reader.read(grid.whole(), values, mask);
    LabelCoding(config).encode(reader, values, mask, label);
    REQUIRE(label[0] == 1);
    REQUIRE(label[64] == 255);
    REQUIRE(label[64 * 5] == 0);
    REQUIRE(label[64 * 5 + 40] == 1);
}

TEST_CASE("an indexed picture with a colour table is read by its colours") {
    const test::TemporaryFolder folder;
    const auto grid = grid_at("EPSG:32633", 500000, 5400000, 1, 16, 16);
    raster::ClassLegend legend;
    legend.entries = {{7, "x", {0, 0, 255}}, {9, "y", {255, 0, 0}}};
    const auto file = folder.path() / "indexed.tif";
    raster::RasterWriter writer(file, grid, raster::class_map_format(legend));
    std::vector<std::uint8_t> indices(256, 7);
    indices[3] = 9;
    writer.write(grid.whole(), std::as_bytes(std::span(indices)));
    writer.finish();
    config::Config config = scene_config(folder.path());
    config.label.encoding = "palette";
    LabelCoding(config).check({file});
    raster::AlignedReader reader(raster::label_source(config.label, {file}), grid);
    std::vector<std::byte> values(256 * 3);
    std::vector<std::uint8_t> mask(256), label(256);
    reader.read(grid.whole(), values, mask);
    LabelCoding(config).encode(reader, values, mask, label);
    REQUIRE(label[0] == 2);
    REQUIRE(label[3] == 0);
}

TEST_CASE("blocks give every split tiles, every class to train, and keep the buffer free") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    config::Config config = scene_config(folder.path());
    config.split.buffer = 6;
    config.grid.stride = 16;
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    const auto train = pixels_of(store, Split::train), val = pixels_of(store, Split::val),
               test = pixels_of(store, Split::test);
    for (const Split split : {Split::val, Split::test}) {
        // Every labelled pixel of val and test counts once, and none is lost.
        const auto counts = store.class_pixels(split);
        REQUIRE(counts[0] + counts[1] + counts[2] ==
                static_cast<std::int64_t>(split == Split::val ? val.size() : test.size()));
    }
    REQUIRE_FALSE(train.empty());
    REQUIRE_FALSE(val.empty());
    REQUIRE_FALSE(test.empty());
    for (const std::int64_t pixels : store.class_pixels(Split::train)) REQUIRE(pixels > 0);
    for (const auto& [column, row] : val) {
        for (std::int64_t dx = -6; dx <= 6; ++dx) {
            for (std::int64_t dy = -6; dy <= 6; ++dy) {
                REQUIRE_FALSE(train.contains({column + dx, row + dy}));
                REQUIRE_FALSE(test.contains({column + dx, row + dy}));
            }
        }
    }
}

TEST_CASE("windows scored by themselves lie a stride apart, keep all their labels and are announced") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    config::Config config = scene_config(folder.path());
    config.split.method = "files";
    config.split.files = {{"a", "test"}};
    config.grid.stride = 16;
    build(config, folder.path() / "once", {});
    config.grid.scoring = "windows";
    build(config, folder.path() / "windows", {});
    const TileStore once(folder.path() / "once"), windows(folder.path() / "windows");
    REQUIRE_FALSE(once.manifest().scored_by_window);
    REQUIRE(windows.manifest().scored_by_window);
    REQUIRE(once.manifest().config_fingerprint != windows.manifest().config_fingerprint);
    const auto labelled = [](const TileStore& store) {
        const auto counts = store.class_pixels(Split::test);
        return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    };
    REQUIRE(labelled(once) == static_cast<std::int64_t>(pixels_of(once, Split::test).size()));
    // Inner places lie in four windows; the borders in fewer.
    REQUIRE(labelled(windows) > 2 * labelled(once));
    std::int64_t counted = 0;
    for (const TileRecord& tile : windows.manifest().tiles) {
        REQUIRE(tile.window.column % 16 == 0);
        REQUIRE(tile.window.row % 16 == 0);
        counted += std::accumulate(tile.class_pixels.begin(), tile.class_pixels.end(), std::int64_t{0});
    }
    REQUIRE(counted == labelled(windows));
}

TEST_CASE("a rare class is drawn into train") {
    config::Config config;
    config.classes = {{1, "common", {}, 0}, {2, "rare", {}, 0}};
    std::vector<Block> blocks(40);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        blocks[i].index = static_cast<std::int64_t>(i);
        blocks[i].class_pixels = {1000, i == 11 || i == 29 || i == 35 ? 10 : 0};
    }
    blocks[5].class_pixels = {0, 0};
    assign_blocks(config, blocks);
    REQUIRE_FALSE(blocks[5].split.has_value());
    std::array<std::int64_t, 3> rare{}, count{};
    for (const Block& block : blocks) {
        if (!block.split) continue;
        ++count[static_cast<std::size_t>(*block.split)];
        rare[static_cast<std::size_t>(*block.split)] += block.class_pixels[1];
    }
    for (const std::int64_t pixels : rare) REQUIRE(pixels == 10);  // three blocks have it: one for each split
    REQUIRE(count[0] >= 24);
    REQUIRE(count[1] >= 4);
    REQUIRE(count[2] >= 4);
    std::vector<Block> again = blocks;
    for (Block& block : again) block.split.reset();
    assign_blocks(config, again);
    for (std::size_t i = 0; i < blocks.size(); ++i) REQUIRE(again[i].split == blocks[i].split);
}

TEST_CASE("regions bound their tiles, and overlapping regions are refused") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    config::Config config = scene_config(folder.path());
    config.split.method = "regions";
    config.split.buffer = 10;
    config.split.regions = {{"train", {500000, 5399808, 500100, 5400000}},
                            {"val", {500110, 5399808, 500170, 5400000}},
                            {"test", {500175, 5399808, 500256, 5400000}}};
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    for (const std::int64_t i : store.tiles_of(Split::train))
        REQUIRE(store.tile(i).window.column + 32 <= 100);
    REQUIRE_FALSE(store.tiles_of(Split::val).empty());
    for (const std::int64_t i : store.tiles_of(Split::val)) {
        REQUIRE(store.tile(i).window.column >= 110);
        REQUIRE(store.tile(i).window.column + 32 <= 170 - 5);  // 10 m from the test region at 175
    }
    for (const std::int64_t i : store.tiles_of(Split::test)) REQUIRE(store.tile(i).window.column >= 180);

    config.split.regions[1].bounds[0] = 500090;
    const Error error = error_of([&] { build(config, folder.path() / "overlap", {}); });
    REQUIRE(error.number() == 301);
    REQUIRE(error.exit_code() == ExitCode::data_invalid);
}

TEST_CASE("polygons of a vector file bound their tiles") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    const auto polygon = [](const char* split, double west, double east) {
        return fmt::format(
            R"({{"type":"Feature","properties":{{"split":"{0}"}},"geometry":{{"type":"Polygon","coordinates":[[[{1},5399800],[{2},5399800],[{2},5400010],[{1},5400010],[{1},5399800]]]}}}})",
            split, west, east);
    };
    const auto write = [&](double east) {
        std::ofstream(folder.path() / "splits.geojson")
            << R"({"type":"FeatureCollection","crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::32633"}},"features":[)"
            << polygon("train", 499990, east) << "," << polygon("val", 500130, 500200) << ","
            << polygon("test", 500200, 500300) << "]}";
    };
    write(500120);
    config::Config config = scene_config(folder.path());
    config.split.method = "polygons";
    config.split.polygons = "splits.geojson";
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    for (const Split split : all_splits) REQUIRE_FALSE(store.tiles_of(split).empty());
    for (const std::int64_t i : store.tiles_of(Split::train))
        REQUIRE(store.tile(i).window.column + 32 <= 120);
    for (const std::int64_t i : store.tiles_of(Split::val)) {
        REQUIRE(store.tile(i).window.column >= 130);
        REQUIRE(store.tile(i).window.column + 32 <= 200);
    }
    write(500140);
    REQUIRE(error_of([&] { build(config, folder.path() / "overlap", {}); }).number() == 301);
    std::ofstream(folder.path() / "splits.geojson") << "{}";
    REQUIRE(error_of([&] { build(config, folder.path() / "overlap", {}); }).number() == 306);
}

TEST_CASE("splits by file need a rule for every scene, and scenes of two splits may not share ground") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    write_scene(folder.path(), "b", 500200);  // the last 56 m of scene a again
    config::Config config = scene_config(folder.path());
    config.split.method = "files";
    config.split.files = {{"a", "train"}};
    REQUIRE(error_of([&] { build(config, folder.path() / "tiles", {}); }).number() == 305);
    config.split.files = {{"a", "train"}, {"b", "test"}};
    const Error error = error_of([&] { build(config, folder.path() / "tiles", {}); });
    REQUIRE(error.number() == 301);
    REQUIRE(error.message().find("'a'") != std::string::npos);
    REQUIRE_FALSE(std::filesystem::exists(folder.path() / "tiles" / "manifest.json"));
    config.split.files = {{"[ab]", "train"}};
    build(config, folder.path() / "tiles", {});
}

TEST_CASE("tiles with too few labelled pixels are not stored") {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), "a", 500000);
    write_raster<std::uint8_t>(
        folder.path() / "label_a.tif", grid_at("EPSG:32633", 500000, 5400000, 1, 256, 192), 1,
        [](auto c, auto, auto) -> std::uint8_t { return c < 128 + 8 ? 1 : 255; }, 255.0);
    config::Config config = scene_config(folder.path());
    config.split.method = "files";
    config.split.files = {{".", "train"}};
    config.grid.min_valid = 0.3;
    build(config, folder.path() / "tiles", {});
    REQUIRE(TileStore(folder.path() / "tiles").size() == 4 * 6);
    config.grid.min_valid = 0.2;
    build(config, folder.path() / "tiles", {});
    REQUIRE(TileStore(folder.path() / "tiles").size() == 5 * 6);
    write_raster<std::uint8_t>(
        folder.path() / "label_a.tif", grid_at("EPSG:32633", 500000, 5400000, 1, 256, 192), 1,
        [](auto, auto, auto) -> std::uint8_t { return 255; }, 255.0);
    REQUIRE(error_of([&] { build(config, folder.path() / "tiles", {}); }).number() == 314);
}
