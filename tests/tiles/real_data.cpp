#include <filesystem>

#include "scene.hpp"
#include "support/catch.hpp"
#include "support/places.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/preview.hpp"
#include "tiles/verify.hpp"

using namespace terrane;
using namespace terrane::tiles;

namespace {

const std::filesystem::path shared = terrane::test::shared_data();

void need_data() {
    if (!std::filesystem::exists(shared / "autzen_west" / "labels_2ft.tif"))
        test::skip("the sample data are not there");
}

config::Modality modality(const std::string& name, const std::filesystem::path& file) {
    config::Modality result;
    result.name = name;
    result.files = {file.string()};
    return result;
}

}  // namespace

TEST_CASE("autzen_west: feet, two grids and nodata wedges; the suggested strips") {
    need_data();
    const test::TemporaryFolder folder;
    const auto data = shared / "autzen_west";
    config::Config config;
    config.modalities = {modality("naip", data / "rgb_naip2009_2ft.tif"),
                         modality("ortho", data / "rgb_ortho_1ft.tif"),
                         modality("height", data / "dsm_2ft.tif")};
    config.modalities[1].resampling = "average";
    config.grid.reference = "height";
    config.grid.tile = 128;
    config.label.files = {(data / "labels_2ft.tif").string()};
    config.label.ignore = {0, 15, 255};
    for (const int id : {2, 5, 6, 9, 17, 19})
        config.classes.push_back({id, fmt::format("class {}", id), {id, 0, 0}, 0});
    config.split.method = "regions";
    config.split.buffer = 32;
    config.split.regions = {{"train", {635576, 848880, 636960, 853540}},
                            {"val", {636992, 848880, 637330, 853540}},
                            {"test", {637362, 848880, 637700, 853540}}};
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    REQUIRE(store.tiles_of(Split::train).size() > 80);
    REQUIRE(store.tiles_of(Split::val).size() >= 18);
    REQUIRE(store.tiles_of(Split::test).size() >= 18);
    for (const std::int64_t i : store.tiles_of(Split::val)) {
        REQUIRE(store.tile(i).window.column >= 708);
        REQUIRE(store.tile(i).window.column + 128 <= 877);
    }
    REQUIRE(store.manifest().scenes[0].grid.width == 1062);
    REQUIRE(store.manifest().modalities[2].statistics[0].minimum > 100);
    REQUIRE(verify(store, {}).problems.empty());
    write_preview(store, {}, 6, folder.path() / "preview.png");
}

TEST_CASE("nc_raleigh: elevation in another CRS and grid, smaller than the image") {
    need_data();
    const test::TemporaryFolder folder;
    const auto data = shared / "nc_raleigh";
    config::Config config;
    config.modalities = {modality("landsat", data / "lsat7_2002.tif"),
                         modality("height", data / "elev_ned_30m.tif")};
    config.grid.tile = 64;
    config.label.files = {(data / "landclass96.tif").string()};
    config.label.ignore = {255};
    for (int id = 1; id <= 7; ++id)
        config.classes.push_back({id, fmt::format("class {}", id), {id, 0, 0}, 0});
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    for (const Split split : all_splits) REQUIRE_FALSE(store.tiles_of(split).empty());
    for (const std::int64_t pixels : store.class_pixels(Split::train)) REQUIRE(pixels > 0);
    const BandStatistics& height = store.manifest().modalities[1].statistics[0];
    REQUIRE(height.minimum >= 55);
    REQUIRE(height.maximum <= 157);
    REQUIRE(store.manifest().modalities[0].bands == 7);
    std::int64_t missing = 0;
    for (std::int64_t i = 0; i < store.size(); ++i) missing += 64 * 64 - store.tile(i).modalities[1].valid;
    REQUIRE(missing > 0);
}

TEST_CASE("terramesh_chips: three scenes in three UTM zones, float64 radar") {
    need_data();
    const test::TemporaryFolder folder;
    const auto data = shared / "terramesh_chips";
    config::Config config;
    config.modalities = {modality("s2", data / "S2L2A" / "*.tif"), modality("s1", data / "S1RTC" / "*.tif"),
                         modality("height", data / "DEM" / "*.tif")};
    config.grid.tile = 64;
    config.label.files = {(data / "LULC" / "*.tif").string()};
    config.label.ignore = {0};
    for (const int id : {1, 2, 3, 4, 5, 9})
        config.classes.push_back({id, fmt::format("class {}", id), {id, 0, 0}, 0});
    config.split.method = "files";
    config.split.files = {{"433D_629L_3_1|38D_378R_2_3", "train"}, {"637U_59R_1_3", "val"}};
    build(config, folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    REQUIRE(store.manifest().scenes.size() == 3);
    REQUIRE(store.manifest().modalities[1].dtype == DType::f32);
    REQUIRE(store.manifest().modalities[0].dtype == DType::i16);
    REQUIRE(store.tiles_of(Split::train).size() == 32);
    REQUIRE(store.tiles_of(Split::val).size() == 16);
    REQUIRE(store.tiles_of(Split::test).empty());
}
