// Class maps against truth; the same on any number of ranks.
#include "predict/map_scores.hpp"

#include "../tiles/scene.hpp"
#include "comm/launch.hpp"
#include "comm/world.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using predict::MapScores;
using predict::MapToScore;
using test::error_of;

namespace {

namespace fs = std::filesystem;

comm::World& world() {
    static comm::World instance(comm::detect_launch(comm::environment_variable));
    return instance;
}

constexpr int no_value = 255;

// The truth of write_scene, and a map that is often right, sometimes wrong and somewhere silent.
int truth_at(std::int64_t column) {
    return static_cast<int>(1 + column / 16 % 3);
}
int map_at(std::int64_t column, std::int64_t row) {
    if (row >= 40 && row < 47 && column < 90) return no_value;
    return (column * 7 + row * 3) % 11 == 0 ? 1 + (truth_at(column) + 1) % 3 : truth_at(column);
}

/// A folder with a scene, its configuration and its map, made by rank 0 and seen by all.
struct Project {
    test::TemporaryFolder own;
    fs::path folder;
    config::Config config;

    Project() {
        std::string shared = own.path().string();
        world().communicator().broadcast(shared, 0);
        folder = shared;
        config = test::scene_config(folder);
        config.data.tiles = (folder / "tiles").string();
        if (world().rank() == 0) {
            test::write_scene(folder, "a", 500000);
            write_map("map.tif", 0, 0, 256, 192);
            tiles::build(config, config.data.tiles, {});
        }
        world().communicator().barrier();
    }
    ~Project() { world().communicator().barrier(); }

    /// A map of a part of the scene.
    void write_map(const std::string& name, std::int64_t left, std::int64_t top, std::int64_t width,
                   std::int64_t height, double pixel = 1) const {
        const auto grid = test::grid_at("EPSG:32633", 500000 + static_cast<double>(left),
                                        5400000 - static_cast<double>(top), pixel, width, height);
        test::write_raster<std::uint8_t>(
            folder / name, grid, 1,
            [&](auto c, auto r, auto) { return static_cast<std::uint8_t>(map_at(c + left, r + top)); },
            255.0);
    }
    MapScores score(const std::string& map) const {
        return predict::score_maps(config, predict::pair_with_truth(config, {folder / map}, {}),
                                   world().communicator());
    }
    /// Only rank 0 writes; the others wait.
    void prepare(const std::function<void()>& action) const {
        if (world().rank() == 0) action();
        world().communicator().barrier();
    }
};

void add(MapScores& expected, std::int64_t column, std::int64_t row) {
    const int value = map_at(column, row);
    if (value == no_value) {
        ++expected.unpredicted;
    } else {
        expected.confusion.add(truth_at(column) - 1, value - 1);
    }
}

void require_equal(const MapScores& found, const MapScores& expected) {
    REQUIRE(found.unpredicted == expected.unpredicted);
    for (int t = 0; t < 3; ++t) {
        for (int p = 0; p < 3; ++p) {
            INFO(t << ' ' << p);
            REQUIRE(found.confusion.at(t, p) == expected.confusion.at(t, p));
        }
    }
}

}  // namespace

TEST_CASE("a whole map's counts are those of a loop over its pixels") {
    const Project project;
    MapScores expected{report::ConfusionMatrix(3)};
    for (std::int64_t row = 0; row < 192; ++row) {
        for (std::int64_t column = 0; column < 256; ++column) add(expected, column, row);
    }
    REQUIRE(expected.unpredicted == 7 * 90);
    require_equal(project.score("map.tif"), expected);
}

TEST_CASE("a map's counts on a split are those of its tiles, from the store and from the rasters") {
    const Project project;
    const tiles::TileStore store(project.config.data.tiles);
    // A map of a part of the scene, to make sure that the place is found.
    project.prepare([&] { project.write_map("part.tif", 32, 16, 200, 150); });
    for (const auto& [name, left, top, width, height] :
         {std::tuple{"map.tif", 0, 0, 256, 192}, std::tuple{"part.tif", 32, 16, 200, 150}}) {
        MapScores expected{report::ConfusionMatrix(3)};
        for (const std::int64_t index : store.tiles_of(tiles::Split::test)) {
            const raster::Window& window = store.tile(index).window;
            for (std::int64_t row = window.row; row < window.row + 32; ++row) {
                for (std::int64_t column = window.column; column < window.column + 32; ++column) {
                    const bool inside =
                        column >= left && row >= top && column < left + width && row < top + height;
                    if (inside) {
                        add(expected, column, row);
                    } else {
                        ++expected.unpredicted;
                    }
                }
            }
        }
        const fs::path map = project.folder / name;
        for (const auto& truth : {std::vector<fs::path>{}, {project.folder / "label_a.tif"}}) {
            const MapScores found = predict::score_map_tiles(project.config, store, tiles::Split::test,
                                                             {{map, truth}}, world().communicator());
            require_equal(found, expected);
            REQUIRE(found.tiles == static_cast<std::int64_t>(store.tiles_of(tiles::Split::test).size()));
        }
    }
}

TEST_CASE("maps that can't be scored are refused with what and why") {
    Project project;
    const auto grid = test::grid_at("EPSG:32633", 500000, 5400000, 1, 256, 192);
    project.prepare([&] {
        test::write_raster<std::int16_t>(project.folder / "unknown.tif", grid, 1, [](auto c, auto r, auto) {
            return static_cast<std::int16_t>(r < 100 && c == 5 ? 40 : c == 9 ? -7 : 2);
        });
        test::write_raster<float>(project.folder / "scores.tif", grid, 3,
                                  [](auto, auto, auto) { return 0.5f; });
        test::write_raster<float>(project.folder / "height.tif", grid, 1,
                                  [](auto, auto, auto) { return 0.5f; });
        project.write_map("coarse.tif", 0, 0, 100, 90, 2);
        project.write_map("elsewhere.tif", 90000, 0, 40, 40);
    });
    const auto error_for = [&](const std::string& map) { return error_of([&] { project.score(map); }); };
    const Error unknown = error_for("unknown.tif");
    REQUIRE(unknown.number() == 321);
    REQUIRE(unknown.exit_code() == ExitCode::data_invalid);
    REQUIRE_THAT(unknown.message(), test::contains("-7 (192 px)") && test::contains("1 other value"));
    REQUIRE(error_for("scores.tif").number() == 321);
    REQUIRE_THAT(error_for("height.tif").message(), test::contains("not whole"));
    REQUIRE(error_for("elsewhere.tif").number() == 208);
    REQUIRE(error_for("missing.tif").exit_code() == ExitCode::input_missing);

    const tiles::TileStore store(project.config.data.tiles);
    const auto tiles_error = [&](const std::vector<MapToScore>& maps) {
        return error_of([&] {
            predict::score_map_tiles(project.config, store, tiles::Split::test, maps, world().communicator());
        });
    };
    REQUIRE(tiles_error({{project.folder / "coarse.tif", {}}}).number() == 322);
    const MapToScore map{project.folder / "map.tif", {}};
    REQUIRE(tiles_error({map, map}).number() == 322);

    // With several scenes a map must say by its name which one it shows.
    project.prepare([&] { test::write_scene(project.folder, "b", 600000); });
    REQUIRE(error_for("map.tif").number() == 312);
    project.prepare([&] { fs::copy_file(project.folder / "map.tif", project.folder / "a.tif"); });
    REQUIRE(project.score("a.tif").confusion.at(0, 0) > 0);
    project.config.label.files.clear();
    REQUIRE(error_for("a.tif").number() == 507);
}
