#include "raster/reader.hpp"

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "raster/describe.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using namespace terrane::raster;
using terrane::test::error_of;
using terrane::test::grid_at;
using terrane::test::write_raster;

namespace {

struct Pixels {
    std::vector<float> values;
    std::vector<std::uint8_t> mask;
    AlignedReader::Counts counts;
};

Pixels read_floats(AlignedReader& reader, const Window& window) {
    Pixels result;
    result.values.resize(static_cast<std::size_t>(window.pixels() * reader.bands()));
    result.mask.resize(static_cast<std::size_t>(window.pixels()));
    result.counts = reader.read(window, std::as_writable_bytes(std::span(result.values)), result.mask);
    return result;
}

Source source_of(const std::filesystem::path& file, Resampling resampling) {
    Source source;
    source.table = "[[modality]] test";
    source.files = {file};
    source.resampling = resampling;
    return source;
}

// A field linear on the ground: any correct resampling reproduces it.
double field(double x, double y) {
    return 0.25 * (x - 500000) - 0.125 * (y - 5400000) + 3;
}

void write_field(const std::filesystem::path& file, const Grid& grid) {
    write_raster<float>(file, grid, 1, [&](auto column, auto row, auto) {
        const auto& t = grid.transform;
        return static_cast<float>(field(t[0] + t[1] * (static_cast<double>(column) + 0.5),
                                        t[3] + t[5] * (static_cast<double>(row) + 0.5)));
    });
}

}  // namespace

TEST_CASE("a linear field is reproduced on a shifted grid of the same CRS by every smooth resampling") {
    const test::TemporaryFolder folder;
    write_field(folder.path() / "a.tif", grid_at("EPSG:32633", 500000, 5400000, 2, 120, 100));
    const Grid target = grid_at("EPSG:32633", 500010.7, 5399989.1, 2, 60, 60);
    for (const Resampling resampling : {Resampling::bilinear, Resampling::cubic, Resampling::average}) {
        AlignedReader reader(source_of(folder.path() / "a.tif", resampling), target);
        const Pixels pixels = read_floats(reader, target.whole());
        REQUIRE(pixels.counts.valid == 3600);
        for (std::int64_t i = 0; i < 3600; ++i) {
            const double x = 500010.7 + 2 * (static_cast<double>(i % 60) + 0.5);
            const double y = 5399989.1 - 2 * (static_cast<double>(i / 60) + 0.5);
            REQUIRE(std::abs(pixels.values[static_cast<std::size_t>(i)] - field(x, y)) < 2e-3);
        }
    }
}

TEST_CASE("averaging onto a coarser grid gives the mean of the pixels below") {
    const test::TemporaryFolder folder;
    const Grid fine = grid_at("EPSG:32633", 500000, 5400000, 1, 64, 64);
    write_raster<float>(folder.path() / "a.tif", fine, 1,
                        [](auto c, auto r, auto) { return static_cast<float>((c * 7 + r * 13) % 32); });
    const Grid target = fine.coarser(4);
    AlignedReader reader(source_of(folder.path() / "a.tif", Resampling::average), target);
    const Pixels pixels = read_floats(reader, target.whole());
    for (std::int64_t row = 0; row < 16; ++row) {
        for (std::int64_t column = 0; column < 16; ++column) {
            double sum = 0;
            for (std::int64_t i = 0; i < 16; ++i)
                sum += static_cast<double>(((4 * column + i % 4) * 7 + (4 * row + i / 4) * 13) % 32);
            REQUIRE(pixels.values[static_cast<std::size_t>(row * 16 + column)] ==
                    Approx(sum / 16).epsilon(1e-5));
        }
    }
}

TEST_CASE(
    "a linear field in another UTM zone warps to its own coordinates, and lattice windows fit bit for bit") {
    const test::TemporaryFolder folder;
    // Zone 33 around its western border, seen from zone 32.
    const Grid zone33 = grid_at("EPSG:32633", 280000, 5400000, 5, 600, 600);
    write_raster<float>(folder.path() / "east.tif", zone33, 2, [&](auto column, auto row, auto band) {
        return band == 0 ? static_cast<float>((static_cast<double>(column) + 0.5) * 5)
                         : static_cast<float>((static_cast<double>(row) + 0.5) * 5);
    });
    const Bounds area = transform_bounds(zone33.bounds(), zone33.crs, parse_crs("EPSG:32632", "test"));
    const Grid zone32 = grid_at("EPSG:32632", std::round((area.west + area.east) / 2) - 700,
                                std::round((area.south + area.north) / 2) + 700, 5, 200, 200);
    AlignedReader reader(source_of(folder.path() / "east.tif", Resampling::bilinear), zone32);
    const Pixels whole = read_floats(reader, zone32.whole());
    REQUIRE(whole.counts.valid == 40000);
    for (const auto& [column, row] : {std::pair{0, 0}, {199, 0}, {57, 141}, {199, 199}, {33, 97}}) {
        const double x = zone32.transform[0] + 5 * (column + 0.5);
        const double y = zone32.transform[3] - 5 * (row + 0.5);
        const Bounds point =
            transform_bounds({x - 1e-3, y - 1e-3, x + 1e-3, y + 1e-3}, zone32.crs, zone33.crs);
        const auto at = static_cast<std::size_t>(row * 200 + column) * 2;
        // 0.01 source pixels are 0.05 m.
        REQUIRE(std::abs(whole.values[at] - ((point.west + point.east) / 2 - 280000)) < 0.06);
        REQUIRE(std::abs(whole.values[at + 1] - (5400000 - (point.south + point.north) / 2)) < 0.06);
    }
    for (const Window window :
         {Window{13, 29, 50, 41}, Window{63, 64, 64, 65}, Window{199, 199, 1, 1}, Window{0, 120, 200, 3}}) {
        const Pixels part = read_floats(reader, window);
        for (std::int64_t i = 0; i < window.pixels() * 2; ++i) {
            const std::int64_t pixel = i / 2;
            const auto in_whole = static_cast<std::size_t>(
                ((window.row + pixel / window.width) * 200 + window.column + pixel % window.width) * 2 +
                i % 2);
            REQUIRE(part.values[static_cast<std::size_t>(i)] == whole.values[in_whole]);
        }
    }
}

TEST_CASE("feet and metres of the same projection meet at the same place") {
    const test::TemporaryFolder folder;
    const Grid metres = grid_at("EPSG:2993", 194000, 259000, 1, 300, 300);  // Oregon Lambert, metres
    write_raster<float>(folder.path() / "m.tif", metres, 1,
                        [](auto c, auto, auto) { return static_cast<float>(c) + 0.5f; });
    const double foot = 0.3048;
    const Grid feet = grid_at("EPSG:2994", (194000 + 50) / foot, (259000 - 50) / foot, 2, 200, 200);
    AlignedReader reader(source_of(folder.path() / "m.tif", Resampling::bilinear), feet);
    const Pixels pixels = read_floats(reader, feet.whole());
    REQUIRE(pixels.counts.valid == 40000);
    for (const std::int64_t column : {0, 77, 199}) {
        REQUIRE(std::abs(pixels.values[static_cast<std::size_t>(column)] -
                         (50 + 2 * foot * (static_cast<double>(column) + 0.5))) < 0.02);
    }
}

TEST_CASE("nodata and NaN do not bleed into neighbours, and NaN pixels are counted") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:32633", 500000, 5400000, 1, 40, 40);
    write_raster<float>(
        folder.path() / "a.tif", grid, 1,
        [](auto c, auto r, auto) {
            if (c >= 10 && c < 15 && r >= 10 && r < 15) return -9999.0f;
            if (c == 30 && r == 30) return std::numeric_limits<float>::quiet_NaN();
            if (c == 31 && r == 30) return std::numeric_limits<float>::infinity();
            return 7.0f;
        },
        -9999.0);
    for (const Resampling resampling :
         {Resampling::nearest, Resampling::bilinear, Resampling::cubic, Resampling::average}) {
        const Grid shifted = grid_at("EPSG:32633", 500000.3, 5399999.8, 1, 39, 39);
        AlignedReader reader(source_of(folder.path() / "a.tif", resampling), shifted);
        const Pixels pixels = read_floats(reader, shifted.whole());
        for (std::size_t i = 0; i < pixels.mask.size(); ++i) {
            if (pixels.mask[i] == 1) {
                REQUIRE(pixels.values[i] == Approx(7.0f).epsilon(1e-5));
            } else {
                REQUIRE(pixels.values[i] == 0.0f);
            }
        }
        REQUIRE(pixels.mask[12 * 39 + 12] == 0);
        REQUIRE(pixels.counts.valid < 39 * 39);
        REQUIRE(pixels.counts.valid >= 39 * 39 - 45);
    }
    AlignedReader direct(source_of(folder.path() / "a.tif", Resampling::bilinear), grid);
    const Pixels pixels = read_floats(direct, grid.whole());
    REQUIRE(pixels.counts.valid == 1600 - 25 - 2);
    REQUIRE(pixels.counts.non_finite == 2);
}

TEST_CASE("windows with and without invalid pixels fit bit for bit, for every resampling and element type") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:32633", 500000, 5400000, 1, 150, 150);
    write_raster<std::uint16_t>(
        folder.path() / "a.tif", grid, 1,
        [](auto c, auto r, auto) {
            return static_cast<std::uint16_t>(
                c > 100 && r > 100 && (c + r) % 5 == 0 ? 0 : 1 + (c * c * 31 + r * 17) % 4001);
        },
        0.0);
    for (const Resampling resampling :
         {Resampling::nearest, Resampling::bilinear, Resampling::cubic, Resampling::average}) {
        for (const double pixel : {0.7, 1.0, 2.6}) {
            const Grid target = grid_at("EPSG:32633", 500003.37, 5399995.21, pixel, 50, 50);
            AlignedReader reader(source_of(folder.path() / "a.tif", resampling), target);
            std::vector<std::uint16_t> whole(2500), part(25);
            std::vector<std::uint8_t> whole_mask(2500), part_mask(25);
            reader.read(target.whole(), std::as_writable_bytes(std::span(whole)), whole_mask);
            for (std::int64_t row = 0; row < 50; row += 5) {
                for (std::int64_t column = 0; column < 50; column += 5) {
                    reader.read({column, row, 5, 5}, std::as_writable_bytes(std::span(part)), part_mask);
                    for (std::int64_t i = 0; i < 25; ++i) {
                        const auto at = static_cast<std::size_t>((row + i / 5) * 50 + column + i % 5);
                        REQUIRE(part[static_cast<std::size_t>(i)] == whole[at]);
                        REQUIRE(part_mask[static_cast<std::size_t>(i)] == whole_mask[at]);
                    }
                }
            }
        }
    }
}

TEST_CASE("a mosaic has no gap where its files meet, and pixels outside of all files are invalid") {
    const test::TemporaryFolder folder;
    write_field(folder.path() / "a.tif", grid_at("EPSG:32633", 500000, 5400000, 1, 50, 50));
    write_field(folder.path() / "b.tif", grid_at("EPSG:32633", 500050, 5400000, 1, 50, 50));
    Source source = source_of(folder.path() / "a.tif", Resampling::bilinear);
    source.files.push_back(folder.path() / "b.tif");
    const Grid target = grid_at("EPSG:32633", 500020.5, 5399990.5, 1, 60, 30);
    AlignedReader reader(source, target);
    const Pixels pixels = read_floats(reader, target.whole());
    REQUIRE(pixels.counts.valid == 1800);
    for (std::int64_t i = 0; i < 1800; ++i) {
        REQUIRE(std::abs(pixels.values[static_cast<std::size_t>(i)] -
                         field(500021 + static_cast<double>(i % 60), 5399990 - static_cast<double>(i / 60))) <
                1e-3);
    }
    const Pixels beyond = read_floats(reader, {70, 0, 20, 10});
    REQUIRE(beyond.counts.valid == 10 * 10 - 10);  // the last half-covered column has its centre on the edge
    const Pixels far = read_floats(reader, {-1000, -1000, 8, 8});
    REQUIRE(far.counts.valid == 0);
}

TEST_CASE("float64 values are stored as float32 and bands are selected in the given order") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:32633", 500000, 5400000, 10, 8, 8);
    write_raster<double>(
        folder.path() / "a.tif", grid, 3,
        [](auto c, auto, auto band) { return static_cast<double>(band * 100 + c); }, -1.7976931348623157e308);
    Source source = source_of(folder.path() / "a.tif", Resampling::nearest);
    source.bands = {3, 1};
    AlignedReader reader(source, grid);
    REQUIRE(reader.dtype() == DType::f32);
    const Pixels pixels = read_floats(reader, grid.whole());
    REQUIRE(pixels.values[6] == 203.0f);
    REQUIRE(pixels.values[7] == 3.0f);
}

TEST_CASE("what a raster lacks is named with the fix") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:32633", 500000, 5400000, 10, 16, 16);
    const Grid nowhere = grid_at("", 500000, 5400000, 10, 16, 16);
    const auto file = folder.path() / "n48.tif";

    REQUIRE(error_of([&] { AlignedReader(source_of(file, Resampling::nearest), grid); }).exit_code() ==
            ExitCode::input_missing);

    write_raster<float>(file, nowhere, 1, [](auto, auto, auto) { return 1.0f; });
    const Error no_crs = error_of([&] { AlignedReader(source_of(file, Resampling::nearest), grid); });
    REQUIRE(no_crs.number() == 203);
    REQUIRE(no_crs.message() == file.string() + " has no CRS.");
    REQUIRE(no_crs.fix() == "Add crs=\"EPSG:…\" to [[modality]] test.");
    Source with_crs = source_of(file, Resampling::nearest);
    with_crs.crs = "EPSG:32633";
    AlignedReader reader(with_crs, grid);
    REQUIRE(read_floats(reader, grid.whole()).counts.valid == 256);

    Source band = with_crs;
    band.bands = {2};
    REQUIRE(error_of([&] { AlignedReader(band, grid); }).number() == 206);

    std::ofstream(folder.path() / "text.tif") << "not a raster";
    REQUIRE(error_of([&] { describe(folder.path() / "text.tif"); }).number() == 202);
    REQUIRE(error_of([&] { parse_crs("EPSG:0", "test"); }).number() == 203);
}

TEST_CASE("a grid of datum shifts is no raster: its head would claim any amount of memory") {
    const test::TemporaryFolder folder;
    std::string content(160, '\0');
    content.replace(0, 9, "CTABLE V2");
    const std::int32_t width = 261161014, height = 1646264320;
    std::memcpy(&content[128], &width, sizeof(width));
    std::memcpy(&content[132], &height, sizeof(height));
    std::ofstream(folder.path() / "shift.tif", std::ios::binary) << content;
    const Error error = error_of([&] { describe(folder.path() / "shift.tif"); });
    REQUIRE(error.number() == 202);
    // Not only its size is refused, for which GDAL would have had to open it.
    REQUIRE(error.message().find("claims") == std::string::npos);
}

TEST_CASE("a truncated raster fails at the read, with file and window") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:32633", 500000, 5400000, 1, 1024, 1024);
    const auto file = folder.path() / "a.tif";
    write_raster<std::uint8_t>(file, grid, 1, [](auto c, auto r, auto) {
        return static_cast<std::uint8_t>((c * 2654435761u + r * 40503u) >> 7);
    });
    // Keep the directory readable: GDAL writes it before the last blocks only in COGs, so cut the pixels
    // instead.
    const RasterInfo info = describe(file);
    REQUIRE(info.block_width == 512);
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 100);
    const Error error = error_of([&] {
        AlignedReader reader(source_of(file, Resampling::nearest), grid);
        std::vector<std::uint8_t> values(1024 * 1024), mask(1024 * 1024);
        reader.read(grid.whole(), std::as_writable_bytes(std::span(values)), mask);
    });
    REQUIRE(error.exit_code() == ExitCode::data_invalid);
    REQUIRE(error.message().find(file.string()) != std::string::npos);
}
