#include "raster/mosaic.hpp"

#include <gdal.h>

#include <fstream>
#include <iterator>

#include "raster/describe.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using raster::Grid;
using raster::MosaicPart;
using raster::RasterFormat;
using raster::RasterMosaic;
using raster::Window;

namespace {

std::uint8_t class_at(std::int64_t row, std::int64_t column) {
    if ((row / 90 + column / 70) % 6 == 0) return 255;
    return static_cast<std::uint8_t>(1 + (row / 33 + column / 57) % 3);
}

RasterFormat map_format() {
    return raster::class_map_format(
        {{{1, "building", {0, 0, 255}}, {2, "tree", {0, 255, 0}}, {3, "car & van <3", {255, 255, 0}}}});
}

/// Writes a part of the picture above, as a rank would.
MosaicPart write_part(const std::filesystem::path& file, const Grid& whole, const Window& place) {
    RasterFormat format;
    format.nodata = 255;
    format.layout = raster::RasterLayout::part;
    Grid grid = whole;
    grid.width = place.width;
    grid.height = place.height;
    raster::RasterWriter writer(file, grid, format);
    std::vector<std::uint8_t> rows;
    for (std::int64_t row = 0; row < place.height; row += 64) {
        const std::int64_t count = std::min<std::int64_t>(64, place.height - row);
        rows.clear();
        for (std::int64_t y = row; y < row + count; ++y) {
            for (std::int64_t x = 0; x < place.width; ++x)
                rows.push_back(class_at(place.row + y, place.column + x));
        }
        writer.write({0, row, place.width, count}, std::as_bytes(std::span(rows)));
    }
    writer.finish();
    return {file, place};
}

std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("a mosaic's bytes do not depend on how its pixels were shared out over parts") {
    const test::TemporaryFolder folder;
    const Grid grid = test::grid_at("EPSG:25832", 500000.25, 5300000.75, 0.5, 1500, 1300);
    std::string first;
    const std::vector<std::vector<Window>> layouts = {
        {{0, 0, 1500, 1300}},
        {{0, 0, 1500, 400}, {0, 400, 1500, 900}},
        {{0, 0, 700, 1300}, {700, 0, 800, 640}, {700, 640, 800, 660}},
    };
    for (std::size_t i = 0; i < layouts.size(); ++i) {
        std::vector<MosaicPart> parts;
        for (const Window& place : layouts[i]) {
            parts.push_back(
                write_part(folder.path() / fmt::format("part {}&{}.tif", i, parts.size()), grid, place));
        }
        RasterMosaic mosaic(folder.path() / "map.tif", grid, map_format(), parts,
                            folder.path() / "whole.tif");
        mosaic.publish();
        const std::string bytes = bytes_of(folder.path() / "map.tif");
        if (i == 0) first = bytes;
        CHECK(bytes == first);
    }
}

TEST_CASE("a mosaic has the parts' pixels, the reference's place, all 256 colours, names and overviews") {
    const test::TemporaryFolder folder;
    const Grid grid = test::grid_at("EPSG:25832", 500000.25, 5300000.75, 0.5, 1500, 1300);
    const auto a = write_part(folder.path() / "a.tif", grid, {0, 0, 1500, 700});
    const auto b = write_part(folder.path() / "b.tif", grid, {0, 700, 1500, 600});
    const std::filesystem::path path = folder.path() / "map.tif";
    RasterMosaic mosaic(path, grid, map_format(), {a, b}, folder.path() / "whole.tif");
    CHECK_FALSE(std::filesystem::exists(path));
    mosaic.publish();

    const raster::RasterInfo info = raster::describe(path);
    for (std::size_t i = 0; i < 6; ++i)
        CHECK(info.grid.transform[i] == Approx(grid.transform[i]).epsilon(1e-15));
    CHECK(raster::same_crs(info.grid.crs, grid.crs));
    CHECK(info.block_width == 512);
    CHECK(info.overviews >= 2);
    CHECK(info.bands[0].nodata == 255);
    REQUIRE(info.palette.size() == 256);
    CHECK(info.palette[3] == std::array<int, 4>{255, 255, 0, 255});
    CHECK(info.palette[9] == std::array<int, 4>{0, 0, 0, 255});
    REQUIRE(info.category_names.size() == 256);
    CHECK(info.category_names[3] == "car & van <3");
    CHECK(info.category_names[255] == "nodata");

    const std::vector<std::uint8_t> pixels = mosaic.reduced(1500, 1300);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < 1500 * 1300; ++i) {
        if (pixels[static_cast<std::size_t>(i)] != class_at(i / 1500, i % 1500)) ++wrong;
    }
    CHECK(wrong == 0);
    const std::vector<std::uint8_t> small = mosaic.reduced(150, 130);
    std::int64_t alike = 0;
    for (std::int64_t i = 0; i < 150 * 130; ++i) {
        if (small[static_cast<std::size_t>(i)] == class_at(i / 150 * 10 + 5, i % 150 * 10 + 5)) ++alike;
    }
    CHECK(alike > 150 * 130 * 3 / 4);
}

TEST_CASE("a mosaic that is not published leaves nothing, and a part that can't be read is an error") {
    const test::TemporaryFolder folder;
    const Grid grid = test::grid_at("EPSG:25832", 500000, 5300000, 0.5, 300, 300);
    const auto part = write_part(folder.path() / "part.tif", grid, {0, 0, 300, 300});
    {
        const RasterMosaic mosaic(folder.path() / "map.tif", grid, map_format(), {part},
                                  folder.path() / "whole.tif");
    }
    std::filesystem::resize_file(part.file, std::filesystem::file_size(part.file) / 2);
    CHECK(test::error_of([&] {
              RasterMosaic(folder.path() / "map.tif", grid, map_format(), {part},
                           folder.path() / "whole.tif");
          }).number() == 903);
    std::filesystem::remove(part.file);
    CHECK(test::error_of([&] {
              RasterMosaic(folder.path() / "map.tif", grid, map_format(), {part},
                           folder.path() / "whole.tif");
          }).number() == 903);
    CHECK(std::filesystem::is_empty(folder.path()));
}
