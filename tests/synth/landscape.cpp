#include "synth/landscape.hpp"

#include <cmath>

#include "support/catch.hpp"
#include "synth/surface.hpp"

using namespace terrane;
using namespace terrane::synth;

namespace {

/// Heights above the terrain of all points of a 512 m square on a 1.7 m raster, by class.
struct Sample {
    std::array<std::int64_t, land_cover_count> points{};
    std::array<double, land_cover_count> lowest{};
    std::array<double, land_cover_count> highest{};
};

Sample sample_heights(std::uint64_t seed) {
    const Landscape landscape(seed);
    const Neighbourhood neighbourhood(landscape, {0, 0, 512, 512});
    Sample sample;
    sample.lowest.fill(1e9);
    sample.highest.fill(-1e9);
    for (double y = 0.4; y < 512; y += 1.7) {
        for (double x = 0.4; x < 512; x += 1.7) {
            const SurfacePoint point = neighbourhood.at({x, y});
            const auto k = static_cast<std::size_t>(info(point.material).cover);
            const double above = static_cast<double>(point.height) - static_cast<double>(point.ground);
            ++sample.points[k];
            sample.lowest[k] = std::min(sample.lowest[k], above);
            sample.highest[k] = std::max(sample.highest[k], above);
        }
    }
    return sample;
}

}  // namespace

TEST_CASE("the road frame maps back to the scene within a millimetre", "[synth]") {
    const Landscape landscape(3);
    for (double y = -500; y < 12000; y += 731.3) {
        for (double x = -500; x < 12000; x += 619.7) {
            const Point back = landscape.frame().to_scene(landscape.frame().to_frame({x, y}));
            CHECK(std::hypot(back.x - x, back.y - y) < 1e-3);
        }
    }
}

TEST_CASE("blocks cover their superblock without gap or overlap", "[synth]") {
    const Landscape landscape(11);
    for (std::int64_t i = -3; i < 3; ++i) {
        for (std::int64_t j = -3; j < 3; ++j) {
            double area = 0;
            for (const Block& block : landscape.blocks(i, j)) {
                area += block.outline.width() * block.outline.height();
                CHECK(block.interior().width() > 20.0);
                CHECK(block.interior().height() > 20.0);
            }
            CHECK(area == Approx(Layout::superblock_edge * Layout::superblock_edge));
        }
    }
}

TEST_CASE("heights above the terrain are those of the class", "[synth]") {
    for (const std::uint64_t seed : {1u, 7u, 23u}) {
        const Sample sample = sample_heights(seed);
        const auto lowest = [&](LandCover cover) { return sample.lowest[static_cast<std::size_t>(cover)]; };
        const auto highest = [&](LandCover cover) { return sample.highest[static_cast<std::size_t>(cover)]; };
        for (std::size_t k = 0; k < land_cover_count; ++k) CHECK(sample.points[k] > 0);
        CHECK(highest(LandCover::impervious) < 0.05);
        CHECK(lowest(LandCover::impervious) > -0.05);
        CHECK(lowest(LandCover::building) > 2.5);
        CHECK(highest(LandCover::building) < 32.0);  // eaves, ridge and what the ground falls under the house
        CHECK(highest(LandCover::building) > 9.0);
        CHECK(highest(LandCover::low_vegetation) < 2.0);
        CHECK(lowest(LandCover::tree) > 1.2);
        CHECK(highest(LandCover::tree) < 23.0);
        CHECK(highest(LandCover::tree) > 8.0);
        CHECK(highest(LandCover::water) == 0.0);
        CHECK(lowest(LandCover::car) > 0.6);
        CHECK(highest(LandCover::car) < 3.0);
        CHECK(highest(LandCover::bare_soil) < 3.3);
    }
}

TEST_CASE("water lies lower than the land around it", "[synth]") {
    const Landscape landscape(7);
    const Neighbourhood neighbourhood(landscape, {0, 0, 512, 512});
    int banks = 0;
    for (double y = 10; y < 500; y += 3) {
        for (double x = 10; x < 500; x += 3) {
            const River river = landscape.terrain().river({x, y});
            const SurfacePoint point = neighbourhood.at({x, y});
            if (info(point.material).cover == LandCover::water && river.bank_distance < 0)
                CHECK(static_cast<double>(point.height) == Approx(river.level).margin(1e-3));
            if (river.bank_distance > 6 && river.bank_distance < 40) {
                CHECK(static_cast<double>(point.ground) > river.level - 1.0);
                ++banks;
            }
        }
    }
    CHECK(banks > 100);
}

TEST_CASE("a surface point does not depend on the neighbourhood it is seen from", "[synth]") {
    const Landscape landscape(5);
    const Neighbourhood wide(landscape, {0, 0, 400, 400});
    const Neighbourhood narrow(landscape, {190, 190, 230, 230});
    for (double y = 190.5; y < 230; y += 0.7) {
        for (double x = 190.5; x < 230; x += 0.7) {
            const SurfacePoint a = wide.at({x, y}), b = narrow.at({x, y});
            REQUIRE(a.height == b.height);
            REQUIRE(a.material == b.material);
            REQUIRE(a.tint == b.tint);
            REQUIRE(a.shade == b.shade);
        }
    }
}

TEST_CASE("buildings keep off roads and rivers", "[synth]") {
    const Landscape landscape(2);
    const Neighbourhood neighbourhood(landscape, {0, 0, 1000, 1000});
    int buildings = 0;
    for (const BlockContent* content : neighbourhood.contents()) {
        for (const Building& building : content->buildings) {
            ++buildings;
            for (const double along : {-1.0, 0.0, 1.0})
                for (const double across : {-1.0, 0.0, 1.0})
                    CHECK(landscape.terrain().river(building.box.corner(along, across)).bank_distance > 1.0);
        }
    }
    CHECK(buildings > 100);
}
