#include "data/augmentation.hpp"

#include <cmath>
#include <set>

#include "support/catch.hpp"
#include "support/synthetic_source.hpp"

using namespace terrane;

namespace {

// Where pixel (x, y) of a crop lies in the tile, in pixels of a modality of that scale.
std::pair<double, double> position(const device::SampleTransform& t, std::int64_t x, std::int64_t y,
                                   std::int64_t scale) {
    const double cx = (static_cast<double>(x) + 0.5) * static_cast<double>(scale);
    const double cy = (static_cast<double>(y) + 0.5) * static_cast<double>(scale);
    const auto s = static_cast<double>(scale);
    return {(t.xx * cx + t.xy * cy + t.x0) / s, (t.yx * cx + t.yy * cy + t.y0) / s};
}

}  // namespace

TEST_CASE("without rotation and zoom crops copy pixels of every modality and stay within the tile") {
    test::SyntheticSource source(1, 64, 3);
    config::Augment settings;
    settings.crop = 24;
    const data::Augmentation augmentation(settings, 0, source.layout(), 3);
    std::set<std::string> kinds;
    std::set<double> places;
    for (std::int64_t sample = 0; sample < 500; ++sample) {
        data::SampleDraw draw;
        augmentation.draw(sample, draw);
        for (const std::int64_t scale : {1, 2}) {
            std::set<std::pair<double, double>> hit;
            for (std::int64_t y = 0; y < 24 / scale; ++y) {
                for (std::int64_t x = 0; x < 24 / scale; ++x) {
                    const auto [column, row] = position(draw.transform, x, y, scale);
                    REQUIRE(column - std::floor(column) == 0.5);
                    REQUIRE(row - std::floor(row) == 0.5);
                    REQUIRE((column > 0 && row > 0 && column < 64.0 / static_cast<double>(scale) &&
                             row < 64.0 / static_cast<double>(scale)));
                    hit.insert({column, row});
                }
            }
            REQUIRE(static_cast<std::int64_t>(hit.size()) == 24 * 24 / scale / scale);
        }
        kinds.insert(fmt::format("{} {} {} {}", draw.transform.xx, draw.transform.xy, draw.transform.yx,
                                 draw.transform.yy));
        const auto [first, ignored] = position(draw.transform, 0, 0, 1);
        places.insert(first);
    }
    CHECK(kinds.size() == 8);
    CHECK(places.size() >= 21);
}

TEST_CASE("rotated and zoomed windows stay within the tile where they fit") {
    test::SyntheticSource source(1, 64, 3);
    config::Augment settings;
    settings.crop = 32;
    settings.rotation = 30;
    settings.zoom = {0.9, 1.5};
    const data::Augmentation augmentation(settings, 0, source.layout(), 3);
    double smallest = 10, largest = 0;
    for (std::int64_t sample = 0; sample < 2000; ++sample) {
        data::SampleDraw draw;
        augmentation.draw(sample, draw);
        for (const std::int64_t x : {0, 31}) {
            for (const std::int64_t y : {0, 31}) {
                const auto [column, row] = position(draw.transform, x, y, 1);
                REQUIRE((column >= 0 && row >= 0 && column <= 64 && row <= 64));
            }
        }
        const double size = std::sqrt(
            std::abs(draw.transform.xx * draw.transform.yy - draw.transform.xy * draw.transform.yx));
        smallest = std::min(smallest, size);
        largest = std::max(largest, size);
    }
    CHECK(smallest == Approx(1 / 1.5).margin(0.02));
    CHECK(largest == Approx(1 / 0.9).margin(0.02));
}

TEST_CASE("radiometric changes keep to their ranges and to the modalities they are for") {
    test::SyntheticSource source(1, 64, 3);
    config::Augment settings;
    settings.brightness = 0.2;
    settings.contrast = 0.1;
    settings.noise = 0.05;
    settings.photometric = {"optical"};
    const data::Augmentation augmentation(settings, 0, source.layout(), 3);
    double gain = 0;
    for (std::int64_t sample = 0; sample < 2000; ++sample) {
        data::SampleDraw draw;
        augmentation.draw(sample, draw);
        REQUIRE(std::abs(draw.modalities[0].gain - 1) <= 0.1001f);
        REQUIRE(std::abs(draw.modalities[0].shift) <= 0.2001f);
        REQUIRE(draw.modalities[1].gain == 1);
        REQUIRE(draw.modalities[1].noise == 0);
        gain += draw.modalities[0].gain;
    }
    CHECK(gain / 2000 == Approx(1).margin(0.01));
    settings.photometric = {"lidar"};
    CHECK_THROWS_WITH(data::Augmentation(settings, 0, source.layout(), 3), test::contains("\"lidar\""));
}

TEST_CASE("modalities are withheld as often as asked, and never all of them") {
    test::SyntheticSource source(1, 64, 3);
    const data::Augmentation augmentation({}, 0.4, source.layout(), 3);
    int missing = 0;
    constexpr int samples = 20000;
    for (std::int64_t sample = 0; sample < samples; ++sample) {
        data::SampleDraw draw;
        augmentation.draw(sample, draw);
        REQUIRE((draw.modalities[0].present || draw.modalities[1].present));
        missing += !draw.modalities[1].present;
    }
    // Withheld with 0.4, unless both would be and this one is kept: 0.4 - 0.16 / 2.
    CHECK(static_cast<double>(missing) / samples == Approx(0.32).margin(0.01));
}

TEST_CASE("a crop that does not fit the tiles is refused") {
    test::SyntheticSource source(1, 64, 3);
    config::Augment settings;
    settings.crop = 65;
    CHECK_THROWS_WITH(data::Augmentation(settings, 0, source.layout(), 3), test::contains("augment.crop 65"));
    settings.crop = 33;
    CHECK_THROWS_WITH(data::Augmentation(settings, 0, source.layout(), 3), test::contains("multiples of 2"));
}
