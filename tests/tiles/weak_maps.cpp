// Scribbles, pseudo-labels and their distance maps in the tile store.
#include <cmath>
#include <fstream>

#include "base/distance_transform.hpp"
#include "base/file.hpp"
#include "base/philox.hpp"
#include "config/weak_maps.hpp"
#include "scene.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/distance_map.hpp"
#include "tiles/preview.hpp"
#include "tiles/verify.hpp"

using namespace terrane;
using namespace terrane::tiles;
using terrane::test::error_of;
using terrane::test::scene_config;

namespace {

constexpr std::int64_t width = 256, height = 192;

/// Raster values of the scribbles: two strokes of class 2 and 3, a dot of class 1.
std::uint8_t scribble_at(std::int64_t column, std::int64_t row) {
    if (row == 40 && column >= 20 && column < 90) return 2;
    if (column == 170 && row >= 60 && row < 150) return 3;
    return column == 5 && row == 180 ? 1 : 0;
}

/// Raster values of the pseudo-labels: a disc of class 2 and a square of class 3 on class 1, a corner
/// unknown.
std::uint8_t pseudo_at(std::int64_t column, std::int64_t row) {
    if (column < 12 && row < 9) return 0;
    if (std::hypot(static_cast<double>(column - 70), static_cast<double>(row - 50)) < 30) return 2;
    return column >= 150 && column < 200 && row >= 100 && row < 170 ? 3 : 1;
}

/// A scene with truth, scribbles and pseudo-labels; class index = raster value - 1.
config::Config write_weak_scene(const std::filesystem::path& folder) {
    test::write_scene(folder, "a", 500000);
    const raster::Grid grid = test::grid_at("EPSG:32633", 500000, 5400000, 1, width, height);
    test::write_raster<std::uint8_t>(
        folder / "scribble_a.tif", grid, 1, [](auto c, auto r, auto) { return scribble_at(c, r); }, 0.0);
    test::write_raster<std::uint8_t>(
        folder / "pseudo_a.tif", grid, 1, [](auto c, auto r, auto) { return pseudo_at(c, r); }, 0.0);
    config::Config config = scene_config(folder);
    config.scribble.files = {"scribble_*.tif"};
    config.scribble.scene = "scribble_(.*)\\.tif";
    config.pseudo.files = {"pseudo_*.tif"};
    config.pseudo.scene = "pseudo_(.*)\\.tif";
    return config;
}

/// Over the whole scene by trying all pairs of pixels, which is what the definition says.
std::vector<std::uint8_t> distances_by_definition(const std::vector<std::uint8_t>& sources, double lambda,
                                                  bool inverted) {
    std::vector<std::pair<std::int64_t, std::int64_t>> places;
    for (std::int64_t i = 0; i < width * height; ++i) {
        if (sources[static_cast<std::size_t>(i)] != 0) places.emplace_back(i % width, i / width);
    }
    std::vector<std::uint8_t> result;
    for (std::int64_t i = 0; i < width * height; ++i) {
        double nearest = INFINITY;
        for (const auto& [x, y] : places) {
            nearest = std::min(
                nearest, std::hypot(static_cast<double>(i % width - x), static_cast<double>(i / width - y)));
        }
        const auto scaled = std::lround(std::min(255.0, std::sqrt(lambda) * nearest));
        result.push_back(static_cast<std::uint8_t>(inverted ? 255 - scaled : scaled));
    }
    return result;
}

/// Class index of the map at a pixel beyond which nothing is known: 255.
std::uint8_t index_of(std::uint8_t value) {
    return value == 0 ? 255 : static_cast<std::uint8_t>(value - 1);
}

std::vector<std::uint8_t> whole(std::uint8_t (*value)(std::int64_t, std::int64_t)) {
    std::vector<std::uint8_t> map;
    for (std::int64_t i = 0; i < width * height; ++i) map.push_back(index_of(value(i % width, i / width)));
    return map;
}

/// The pixels of an object beside a pixel of another region.
std::vector<std::uint8_t> contours(const std::vector<std::uint8_t>& classes, int background) {
    const auto object = [&](std::uint8_t value) { return value != 255 && value != background; };
    const auto region = [&](std::uint8_t value) {
        return background < 0 ? int{value} : (object(value) ? 1000 : 2000);
    };
    std::vector<std::uint8_t> result(classes.size(), 0);
    for (std::int64_t i = 0; i < width * height; ++i) {
        const auto place = static_cast<std::size_t>(i);
        if (!object(classes[place])) continue;
        for (const auto& [dx, dy] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}}) {
            const std::int64_t x = i % width + dx, y = i / width + dy;
            if (x < 0 || y < 0 || x >= width || y >= height) continue;
            if (region(classes[static_cast<std::size_t>(y * width + x)]) != region(classes[place]))
                result[place] = 1;
        }
    }
    return result;
}

std::vector<std::uint8_t> cut(const std::vector<std::uint8_t>& map, const raster::Window& window) {
    std::vector<std::uint8_t> part;
    for (std::int64_t row = window.row; row < window.row + window.height; ++row) {
        const auto begin = map.begin() + row * width + window.column;
        part.insert(part.end(), begin, begin + window.width);
    }
    return part;
}

}  // namespace

TEST_CASE("every tile holds its part of the class maps, and of the distance maps over the whole scene") {
    const test::TemporaryFolder folder;
    config::Config config = write_weak_scene(folder.path());
    const bool with_background = GENERATE(true, false);
    config.classes[0].background = with_background;
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    store.require(config);
    REQUIRE(store.manifest().maps ==
            std::vector<std::string>{"scribble", "pseudo", "scribble_distance", "pseudo_distance"});
    const std::vector<std::uint8_t> scribble = whole(scribble_at), pseudo = whole(pseudo_at);
    std::vector<std::uint8_t> strokes;
    for (const std::uint8_t value : scribble)
        strokes.push_back(value != 255 && !(with_background && value == 0) ? 1 : 0);
    const std::vector<std::uint8_t> expected[] = {
        scribble, pseudo, distances_by_definition(strokes, config.scribble.lambda, true),
        distances_by_definition(contours(pseudo, with_background ? 0 : -1), config.pseudo.lambda, false)};
    TileReader reader(store);
    TileMemory memory(store.manifest());
    std::array<bool, 256> seen{};
    for (std::int64_t tile = 0; tile < store.size(); ++tile) {
        reader.read(tile, memory.buffers());
        for (std::size_t m = 0; m < 4; ++m) {
            CAPTURE(tile, store.manifest().maps[m]);
            REQUIRE(memory.maps[m] == cut(expected[m], store.tile(tile).window));
        }
        for (const std::uint8_t value : memory.maps[2]) seen[value] = true;
        std::int64_t drawn = 0;
        for (const std::int64_t pixels : store.tile(tile).maps[0].class_pixels) drawn += pixels;
        CHECK(drawn == std::count_if(memory.maps[0].begin(), memory.maps[0].end(),
                                     [](std::uint8_t value) { return value != 255; }));
    }
    CHECK(seen[255]);
    CHECK(seen[0]);
    CHECK(std::count(seen.begin(), seen.end(), true) > 50);
    CHECK(verify(store, {}).problems.empty());
    write_preview(store, {}, 3, folder.path() / "preview.png");
    CHECK(std::filesystem::file_size(folder.path() / "preview.png") > 1000);
}

TEST_CASE("windows of a distance map are parts of the whole one, whatever lambda") {
    PhiloxStream random(5, 1);
    std::vector<std::uint8_t> classes(width * height, 255);
    for (int stroke = 0; stroke < 12; ++stroke) {
        const std::int64_t x = random.below(width), y = random.below(height);
        classes[static_cast<std::size_t>(y * width + x)] = static_cast<std::uint8_t>(random.below(3));
    }
    std::vector<std::uint8_t> part;
    const ReadClasses read = [&](const raster::Window& window) {
        part = cut(classes, window);
        return std::span<const std::uint8_t>(part);
    };
    for (const double lambda : {0.05, 1.0, 2.718281828459045, 50.0, 65025.0}) {
        DistanceMap map(DistanceMap::From::scribble, lambda, -1, width, height);
        std::vector<std::uint8_t> all(width * height);
        map.fill({0, 0, width, height}, read, all);
        std::vector<std::uint8_t> strokes;
        for (const std::uint8_t value : classes) strokes.push_back(value != 255 ? 1 : 0);
        CHECK(all == distances_by_definition(strokes, lambda, true));
        for (int trial = 0; trial < 20; ++trial) {
            const std::int64_t w = 1 + random.below(60), h = 1 + random.below(60);
            const raster::Window window{random.below(static_cast<std::uint32_t>(width - w + 1)),
                                        random.below(static_cast<std::uint32_t>(height - h + 1)), w, h};
            std::vector<std::uint8_t> own(static_cast<std::size_t>(window.pixels()));
            map.fill(window, read, own);
            CAPTURE(lambda, window.text());
            REQUIRE(own == cut(all, window));
        }
    }
}

TEST_CASE("a scene without contours or scribbles has no confidence anywhere") {
    const std::vector<std::uint8_t> nothing(width * height, 255), one(width * height, 1);
    std::vector<std::uint8_t> map(width * height);
    DistanceMap strokes(DistanceMap::From::scribble, 1, -1, width, height);
    strokes.fill(
        {0, 0, width, height}, [&](const raster::Window&) { return std::span(nothing); }, map);
    CHECK(std::count(map.begin(), map.end(), 0) == width * height);
    DistanceMap edges(DistanceMap::From::contour, 1, -1, width, height);
    edges.fill(
        {0, 0, width, height}, [&](const raster::Window&) { return std::span(one); }, map);
    CHECK(std::count(map.begin(), map.end(), 255) == width * height);  // the scene's edge is no contour
}

TEST_CASE("a store is rebuilt when scribbles, lambda or the background change, and only then") {
    const test::TemporaryFolder folder;
    config::Config config = write_weak_scene(folder.path());
    const auto tiles = folder.path() / "tiles";
    CHECK(build(config, tiles, {}).built == 1);
    CHECK(build(config, tiles, {}).up_to_date);
    config.scribble.lambda = 3;
    CHECK(error_of([&] { TileStore(tiles).require(config); }).number() == 403);
    CHECK(build(config, tiles, {}).built == 1);
    config.classes[1].background = true;
    CHECK(build(config, tiles, {}).built == 1);
    std::filesystem::last_write_time(folder.path() / "scribble_a.tif",
                                     std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
    CHECK_FALSE(build(config, tiles, {}).up_to_date);
    config.scribble.files.clear();
    config.pseudo.files.clear();
    build(config, tiles, {});
    CHECK(TileStore(tiles).manifest().maps.empty());
    CHECK(read_text_file(tiles / "manifest.json").find("maps") == std::string::npos);
}

TEST_CASE("training tiles without truth are kept for their scribbles, the others are not") {
    const test::TemporaryFolder folder;
    config::Config config = write_weak_scene(folder.path());
    config.label.files.clear();
    config.grid.min_valid = 0.5;  // pseudo-labels cover almost all
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    CHECK(store.tiles_of(Split::train).size() > 3);
    CHECK(store.tiles_of(Split::val).empty());
    CHECK(store.tiles_of(Split::test).empty());
    for (const std::int64_t pixels : store.class_pixels(Split::train)) CHECK(pixels == 0);
}

TEST_CASE("a flipped bit in a distance map is found") {
    const test::TemporaryFolder folder;
    build(write_weak_scene(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    const DatasetPlace& place = store.manifest().scenes[0].maps[3];
    std::fstream file(store.shard(0), std::ios::binary | std::ios::in | std::ios::out);
    const auto at = static_cast<std::streamoff>(place.offset + 2 * place.bytes + 77);
    file.seekg(at);
    const int value = file.get();
    file.seekp(at);
    file.put(static_cast<char>(value ^ 1));
    file.close();
    TileReader reader(store);
    TileMemory memory(store.manifest());
    const Error error = error_of([&] { reader.read(2, memory.buffers()); });
    CHECK(error.number() == 410);
    CHECK(error.message().find("pseudo_distance") != std::string::npos);
    CHECK(verify(store, {}).problems.size() == 1);
}

TEST_CASE("a manifest whose maps do not fit is refused") {
    const test::TemporaryFolder folder;
    build(write_weak_scene(folder.path()), folder.path() / "tiles", {});
    const auto path = folder.path() / "tiles" / "manifest.json";
    const std::string good = read_text_file(path);
    for (const auto& [from, to] : {std::pair<std::string, std::string>{"\"pseudo_distance\"", "\"other\""},
                                   {"\"scribble\"", "\"pseudo\""},
                                   {"\"scribble_distance\",", ""}}) {
        std::string bad = good;
        bad.replace(bad.find(from), from.size(), to);
        write_file_atomically(path, bad);
        CHECK(error_of([&] { TileStore store(folder.path() / "tiles"); }).number() == 402);
    }
}
