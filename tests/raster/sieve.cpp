// Small regions of a class map, drawn by hand.
#include "raster/mosaic.hpp"
#include "raster/reader.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;

namespace {

/// Classes '1' to '9'; '.' has no value.
std::vector<std::uint8_t> picture(const std::vector<std::string>& rows) {
    std::vector<std::uint8_t> pixels;
    for (const std::string& row : rows) {
        for (const char c : row) pixels.push_back(c == '.' ? 255 : static_cast<std::uint8_t>(c - '0'));
    }
    return pixels;
}

}  // namespace

TEST_CASE("regions below the size take the class of their largest neighbour, missing values stay") {
    const std::vector<std::string> before = {
        "1111111222",  // 3: one pixel within 1
        "1311111222",  // 4: two pixels between 1 and the smaller 2
        "1111114422",  //
        "1155111222",  // 5: four pixels, large enough
        "1155111...",  // 6: one pixel among missing ones
        "11111...6.",  //
        "17111.....",  // 7: two pixels that touch by a corner only: two regions of one
        "1171111.11",  // a missing pixel between 1 and 1 stays missing
    };
    const std::vector<std::string> after = {
        "1111111222",  //
        "1111111222",  //
        "1111111122",  //
        "1155111222",  //
        "1155111...",  //
        "11111...6.",  //
        "11111.....",  //
        "1111111.11",  // two ones on the right: too few, but with no neighbour
    };
    const test::TemporaryFolder folder;
    const raster::Grid grid = test::grid_at("EPSG:25832", 500000, 5300000, 1, 10, 8);
    raster::ClassLegend legend;
    for (int value = 1; value <= 7; ++value)
        legend.entries.push_back({value, std::to_string(value), {value, 0, 0}});
    const raster::RasterFormat format = raster::class_map_format(legend);
    raster::RasterFormat part;
    part.nodata = 255;
    part.layout = raster::RasterLayout::part;
    raster::RasterWriter writer(folder.path() / "part.tif", grid, part);
    const std::vector<std::uint8_t> drawn = picture(before);
    writer.write(grid.whole(), std::as_bytes(std::span(drawn)));
    writer.finish();

    int calls = 0;
    const std::filesystem::path map = folder.path() / "map.tif";
    {
        raster::RasterMosaic mosaic(map, grid, format, {{folder.path() / "part.tif", grid.whole()}},
                                    folder.path() / "whole.tif", {3, [&] { ++calls; }});
        mosaic.publish();
    }
    CHECK(calls > 0);
    raster::Source source;
    source.table = "test";
    source.files = {map};
    raster::AlignedReader reader(source, grid);
    std::vector<std::uint8_t> values(80), mask(80);
    reader.read(grid.whole(), std::as_writable_bytes(std::span(values)), mask);
    const std::vector<std::uint8_t> expected = picture(after);
    for (std::size_t i = 0; i < 80; ++i) {
        INFO("pixel " << i);
        CHECK((mask[i] != 0) == (expected[i] != 255));
        if (mask[i] != 0) CHECK(int{values[i]} == int{expected[i]});
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        CHECK(entry.path().string().find("sieved") == std::string::npos);
}
