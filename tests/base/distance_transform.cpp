#include "base/distance_transform.hpp"

#include <algorithm>

#include "base/philox.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

std::vector<std::int32_t> by_force(const std::vector<std::uint8_t>& mask, std::int64_t height,
                                   std::int64_t width) {
    std::vector<std::int32_t> squared(mask.size(), no_distance);
    for (std::int64_t i = 0; i < height * width; ++i) {
        for (std::int64_t j = 0; j < height * width; ++j) {
            if (mask[static_cast<std::size_t>(j)] == 0) continue;
            const std::int64_t dy = i / width - j / width, dx = i % width - j % width;
            auto& least = squared[static_cast<std::size_t>(i)];
            least = std::min(least, static_cast<std::int32_t>(dy * dy + dx * dx));
        }
    }
    return squared;
}

}  // namespace

TEST_CASE("distances equal those to every source, whatever the density of the mask") {
    std::uint64_t stream = 0;
    for (const auto& [height, width] :
         {std::pair<int, int>{1, 1}, {1, 17}, {23, 1}, {13, 19}, {32, 31}, {5, 64}}) {
        for (const double density : {0.005, 0.05, 0.3, 0.95, 1.0}) {
            PhiloxStream random(7, ++stream);
            std::vector<std::uint8_t> mask(static_cast<std::size_t>(height * width));
            for (auto& value : mask) value = random.uniform(0, 1) < density ? 200 : 0;
            INFO(height << " x " << width << ", density " << density);
            CHECK(squared_distances(mask, height, width) == by_force(mask, height, width));
        }
    }
}

TEST_CASE("a single source gives circles, no source gives no distance") {
    std::vector<std::uint8_t> mask(7 * 9, 0);
    CHECK(squared_distances(mask, 7, 9) == std::vector<std::int32_t>(63, no_distance));
    mask[6 * 9 + 8] = 1;
    const auto squared = squared_distances(mask, 7, 9);
    CHECK(squared[0] == 36 + 64);
    CHECK(squared[6 * 9 + 8] == 0);
    CHECK(squared[5 * 9 + 5] == 1 + 9);
}

TEST_CASE("a long thin map has no overflow") {
    std::vector<std::uint8_t> mask(32767, 0);
    mask[0] = 1;
    CHECK(squared_distances(mask, 1, 32767).back() == 32766 * 32766);
    CHECK(squared_distances(mask, 32767, 1).back() == 32766 * 32766);
}
