#include "raster/writer.hpp"

#include <gdal.h>

#include <filesystem>

#include "raster/area.hpp"
#include "raster/describe.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using namespace terrane::raster;
using terrane::test::grid_at;

TEST_CASE("a class map is a COG with palette, names, nodata 255 and MODE overviews on the reference grid") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:25832", 512345.678, 5400123.456, 0.5, 1500, 1200);
    ClassLegend legend;
    legend.entries = {{2, "ground", {150, 110, 60}}, {6, "building", {230, 150, 30}}};
    const auto path = folder.path() / "map.tif";
    {
        RasterWriter writer(path, grid, class_map_format(legend));
        for (std::int64_t row = 0; row < grid.height; row += 512) {
            const Window stripe{0, row, grid.width, std::min<std::int64_t>(512, grid.height - row)};
            std::vector<std::uint8_t> values(static_cast<std::size_t>(stripe.pixels()));
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? 6 : i % 7 == 0 ? 255 : 2;
            writer.write(stripe, std::as_bytes(std::span(values)));
        }
        REQUIRE_FALSE(std::filesystem::exists(path));
        writer.finish();
    }
    const RasterInfo info = describe(path);
    for (std::size_t i = 0; i < 6; ++i) REQUIRE(std::abs(info.grid.transform[i] - grid.transform[i]) < 1e-9);
    REQUIRE(same_crs(info.grid.crs, grid.crs));
    REQUIRE(info.bands[0].nodata == 255.0);
    REQUIRE(info.block_width == 512);
    REQUIRE(info.overviews >= 1);
    REQUIRE(info.palette.size() == 256);
    REQUIRE(info.palette[6] == std::array<int, 4>{230, 150, 30, 255});
    REQUIRE(info.palette[100] == std::array<int, 4>{0, 0, 0, 255});
    REQUIRE(info.category_names.at(6) == "building");
    const GDALDatasetH dataset = GDALOpen(path.c_str(), GA_ReadOnly);
    REQUIRE(std::string(GDALGetMetadataItem(dataset, "LAYOUT", "IMAGE_STRUCTURE")) == "COG");
    GDALClose(dataset);
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
    REQUIRE(files == 2);  // the map and the names beside it
}

TEST_CASE("a writer that is given up leaves the older file and nothing else") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:25832", 0, 0, 1, 64, 64);
    const auto path = folder.path() / "map.tif";
    test::write_raster<std::uint8_t>(path, grid, 1, [](auto, auto, auto) { return std::uint8_t{9}; });
    const auto before = std::filesystem::last_write_time(path);
    { RasterWriter writer(path, grid, class_map_format({})); }
    REQUIRE(std::filesystem::last_write_time(path) == before);
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
    REQUIRE(files == 1);
}

TEST_CASE("a PNG holds the pixels it was given") {
    const test::TemporaryFolder folder;
    const std::vector<std::uint8_t> pixels{255, 0, 0, 255, 0, 255, 0, 128, 1, 2, 3, 4, 9, 8, 7, 0};
    write_png(folder.path() / "p.png", 2, 2, 4, pixels);
    const RasterInfo info = describe(folder.path() / "p.png");
    REQUIRE(info.bands.size() == 4);
    REQUIRE(info.bands[3].alpha);
    std::vector<std::uint8_t> read(16);
    const GDALDatasetH dataset = GDALOpen((folder.path() / "p.png").c_str(), GA_ReadOnly);
    REQUIRE(GDALDatasetRasterIOEx(dataset, GF_Read, 0, 0, 2, 2, read.data(), 2, 2, GDT_Byte, 4, nullptr, 4, 8,
                                  1, nullptr) == CE_None);
    GDALClose(dataset);
    REQUIRE(read == pixels);
    REQUIRE_FALSE(std::filesystem::exists(folder.path() / "p.png.aux.xml"));
}

TEST_CASE("an output that can't be created is an error, not a crash") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:25832", 0, 0, 1, 64, 64);
    const Error error =
        test::error_of([&] { RasterWriter(folder.path() / "none" / "map.tif", grid, class_map_format({})); });
    REQUIRE(error.exit_code() == ExitCode::cannot_create);
}

TEST_CASE("areas know containment, distance and common ground") {
    Area a, b;
    a.add({0, 0, 10, 10});
    a.add({10, 0, 20, 10});
    b.add({20, 0, 30, 10});
    REQUIRE(a.contains({5, 0, 15, 10}));
    REQUIRE_FALSE(a.contains({15, 0, 25, 10}));
    REQUIRE(b.distance({5, 0, 15, 10}) == Approx(5));
    REQUIRE(a.common_with(b) == Approx(0));
    b.add({19, 2, 25, 4});
    REQUIRE(a.common_with(b) == Approx(2));
}
