#include "synth/sensors.hpp"

#include <array>
#include <cmath>
#include <numeric>

#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::synth;

namespace {

struct Image {
    std::vector<std::uint8_t> bands;
    std::vector<std::uint8_t> labels;
};

Image optical(std::uint64_t seed, std::int64_t size, const PixelWindow& window) {
    const Landscape landscape(seed);
    Image image{std::vector<std::uint8_t>(4 * window.area()), std::vector<std::uint8_t>(window.area())};
    render_optical(landscape, optical_grid(size), window, image.bands, image.labels);
    return image;
}

double from_decibels(float value) {
    return std::pow(10.0, static_cast<double>(value) / 10.0);
}

}  // namespace

TEST_CASE("a pixel is the same whatever window it is rendered in", "[synth]") {
    const PixelWindow whole{100, 200, 96, 80};
    const Image expected = optical(7, 1024, whole);
    for (const PixelWindow part :
         {PixelWindow{100, 200, 1, 1}, PixelWindow{131, 217, 33, 41}, PixelWindow{100, 279, 96, 1}}) {
        const Image image = optical(7, 1024, part);
        for (std::int64_t row = 0; row < part.rows; ++row) {
            for (std::int64_t column = 0; column < part.columns; ++column) {
                const auto k = static_cast<std::size_t>(row * part.columns + column);
                const auto m = static_cast<std::size_t>((part.row - whole.row + row) * whole.columns +
                                                        part.column - whole.column + column);
                REQUIRE(image.labels[k] == expected.labels[m]);
                for (std::size_t band = 0; band < 4; ++band)
                    REQUIRE(image.bands[4 * k + band] == expected.bands[4 * m + band]);
            }
        }
    }
}

TEST_CASE("the radar image does not depend on the window it is rendered in", "[synth]") {
    const Landscape landscape(9);
    const PixelGrid grid = sar_grid(1024);
    const PixelWindow whole{40, 50, 40, 30}, part{55, 61, 9, 12};
    std::vector<float> expected(2 * whole.area()), values(2 * part.area());
    render_sar(landscape, grid, whole, expected);
    render_sar(landscape, grid, part, values);
    for (std::int64_t row = 0; row < part.rows; ++row)
        for (std::int64_t column = 0; column < 2 * part.columns; ++column)
            REQUIRE(values[static_cast<std::size_t>(row * 2 * part.columns + column)] ==
                    expected[static_cast<std::size_t>((row + 11) * 2 * whole.columns + 2 * 15 + column)]);
}

TEST_CASE("another seed gives another scene", "[synth]") {
    const PixelWindow window{0, 0, 128, 128};
    const Image a = optical(1, 1024, window), b = optical(2, 1024, window);
    int different = 0;
    for (std::size_t k = 0; k < a.labels.size(); ++k) different += a.labels[k] != b.labels[k] ? 1 : 0;
    CHECK(different > 128 * 128 / 10);
}

TEST_CASE("every class is present in a scene of 1024 pixels, in believable shares", "[synth]") {
    for (const std::uint64_t seed : {1u, 7u, 40u}) {
        const Image image = optical(seed, 1024, {0, 0, 1024, 1024});
        std::array<std::int64_t, 256> counts{};
        for (const std::uint8_t label : image.labels) ++counts[label];
        const auto share = [&](LandCover cover) {
            return static_cast<double>(counts[static_cast<std::size_t>(cover)]) / (1024.0 * 1024.0);
        };
        const std::int64_t known =
            std::accumulate(counts.begin(), counts.begin() + land_cover_count, std::int64_t{0});
        CHECK(known + counts[label_nodata] == 1024 * 1024);
        CHECK(share(LandCover::impervious) > 0.12);
        CHECK(share(LandCover::impervious) < 0.50);
        CHECK(share(LandCover::building) > 0.015);
        CHECK(share(LandCover::building) < 0.25);
        CHECK(share(LandCover::low_vegetation) > 0.15);
        CHECK(share(LandCover::low_vegetation) < 0.65);
        CHECK(share(LandCover::tree) > 0.03);
        CHECK(share(LandCover::tree) < 0.30);
        CHECK(share(LandCover::water) > 0.01);
        CHECK(share(LandCover::water) < 0.15);
        CHECK(share(LandCover::bare_soil) > 0.005);
        CHECK(share(LandCover::bare_soil) < 0.25);
        CHECK(share(LandCover::car) > 0.0005);
        CHECK(share(LandCover::car) < 0.009);
        const double unlabelled = static_cast<double>(counts[label_nodata]) / (1024.0 * 1024.0);
        CHECK(unlabelled > 0.005);
        CHECK(unlabelled < 0.04);
    }
}

TEST_CASE("nodata in the photo is zero in all bands and nowhere else", "[synth]") {
    const Image image = optical(7, 1024, {824, 0, 200, 200});
    std::int64_t missing = 0;
    for (std::size_t k = 0; k < image.labels.size(); ++k) {
        int zeros = 0;
        for (std::size_t band = 0; band < 4; ++band) zeros += image.bands[4 * k + band] == 0 ? 1 : 0;
        CHECK((zeros == 0 || zeros == 4));
        missing += zeros == 4 ? 1 : 0;
    }
    CHECK(missing > 1000);
    CHECK(missing < 200 * 200);
}

TEST_CASE("buildings cast their shadow away from the sun", "[synth]") {
    // Points 4 m from the walls of flat-roofed buildings: to the north (shadow) they are darker than to the
    // south.
    const Landscape landscape(7);
    const Neighbourhood neighbourhood(landscape, {0, 0, 500, 500});
    const PixelGrid grid = optical_grid(1024);
    double lit = 0, shaded = 0;
    int pairs = 0;
    for (const BlockContent* content : neighbourhood.contents()) {
        for (const Building& building : content->buildings) {
            const double reach = 4.0 + building.box.radius();
            const Point c = building.box.center;
            if (building.eaves < 3 || c.x < 60 || c.y < 60 || c.x > 440 || c.y > 440) continue;
            // From the centre towards and away from the sun, to 4 m beyond the wall.
            const auto beyond_wall = [&](double direction) {
                for (double r = 0; r < reach; r += 0.25) {
                    const Point p{c.x + direction * 0.5 * r, c.y + direction * 0.866 * r};
                    const Point local = building.box.local(p);
                    if (std::abs(local.x) > building.box.half_length ||
                        std::abs(local.y) > building.box.half_width)
                        return Point{p.x + direction * 1.0, p.y + direction * 1.7};
                }
                return c;
            };
            const Point south = beyond_wall(1), north = beyond_wall(-1);
            const SurfacePoint a = neighbourhood.at(south), b = neighbourhood.at(north);
            if (a.material != b.material || a.height - a.ground > 0.5f || b.height - b.ground > 0.5f)
                continue;
            std::array<std::uint8_t, 4> bands{};
            std::array<std::uint8_t, 1> label{};
            const auto grey = [&](Point p) {
                render_optical(
                    landscape, grid,
                    {static_cast<std::int64_t>(p.x / 0.5), static_cast<std::int64_t>(p.y / 0.5), 1, 1}, bands,
                    label);
                return static_cast<double>(bands[0]) + static_cast<double>(bands[1]);
            };
            if (pairs == 12) continue;
            lit += grey(south);
            shaded += grey(north);
            ++pairs;
        }
    }
    REQUIRE(pairs >= 6);
    CHECK(shaded < 0.75 * lit);
}

TEST_CASE("lidar heights are the surface's within the noise, and void over water only", "[synth]") {
    const Landscape landscape(7);
    const PixelWindow window{0, 0, 200, 200};
    std::vector<Point> points;
    for (int row = 0; row < 200; ++row)
        for (int column = 0; column < 200; ++column)
            points.push_back({50.0 + 1.01 * column + 0.08 * row, 60.0 - 0.08 * column + 1.01 * row});
    std::vector<float> heights(points.size());
    render_height(landscape, window, points, heights);
    const Neighbourhood neighbourhood(landscape, {30, 30, 300, 300});
    double squares = 0;
    std::int64_t valid = 0, voids = 0;
    for (std::size_t k = 0; k < points.size(); ++k) {
        const SurfacePoint point = neighbourhood.at(points[k]);
        if (heights[k] == height_nodata) {
            ++voids;
            CHECK(info(point.material).cover == LandCover::water);
            continue;
        }
        const double error = static_cast<double>(heights[k]) - static_cast<double>(point.height);
        REQUIRE(std::abs(error) < 0.18);
        squares += error * error;
        ++valid;
    }
    CHECK(voids > 0);
    CHECK(std::sqrt(squares / static_cast<double>(valid)) == Approx(0.05).margin(0.005));
}

TEST_CASE("radar speckle is multiplicative with four looks, and water is dark", "[synth]") {
    const Landscape landscape(7);
    const PixelGrid grid = sar_grid(1024);
    const PixelWindow window{20, 20, 240, 240};
    std::vector<float> values(2 * window.area());
    render_sar(landscape, grid, window, values);
    const Neighbourhood neighbourhood(landscape, {-20, -20, 540, 540});
    // Neighbouring pixels of one cover differ by speckle alone: var(a - b) / mean(a b) = 2 / looks for any
    // mean.
    double difference = 0, product = 0, water = 0, built = 0;
    std::int64_t pairs = 0, water_count = 0, built_count = 0;
    for (std::int64_t row = 0; row < window.rows; ++row) {
        for (std::int64_t column = 0; column + 1 < window.columns; ++column) {
            const auto k = static_cast<std::size_t>(row * window.columns + column);
            if (values[2 * k] == sar_nodata || values[2 * k + 2] == sar_nodata) continue;
            const Point p = grid.center(window.column + column, window.row + row);
            bool uniform = true;
            const SurfacePoint here = neighbourhood.at(p);
            for (const double dx : {-2.0, -1.0, 1.0, 2.0, 3.0, 4.0})
                for (const double dy : {-1.0, 1.0})
                    uniform = uniform && neighbourhood.at({p.x + dx, p.y + dy}).material == here.material;
            const double a = from_decibels(values[2 * k]), b = from_decibels(values[2 * k + 2]);
            const LandCover cover = info(here.material).cover;
            if (cover == LandCover::water) water += a, ++water_count;
            if (cover == LandCover::building) built += a, ++built_count;
            if (!uniform || cover != LandCover::low_vegetation) continue;
            difference += (a - b) * (a - b);
            product += a * b;
            ++pairs;
        }
    }
    REQUIRE(pairs > 1000);
    CHECK(difference / product == Approx(2.0 / 4.0).epsilon(0.12));
    REQUIRE(water_count > 100);
    REQUIRE(built_count > 100);
    CHECK(10 * water / static_cast<double>(water_count) < built / static_cast<double>(built_count));
}
