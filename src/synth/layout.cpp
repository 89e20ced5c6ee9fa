#include "synth/layout.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace terrane::synth {

double half_width(RoadLevel level) {
    switch (level) {
        case RoadLevel::none:
            return 0.0;
        case RoadLevel::track:
            return 1.8;
        case RoadLevel::residential:
            return 3.4;
        case RoadLevel::secondary:
            return 4.8;
        case RoadLevel::primary:
            return 7.6;
    }
    return 0.0;
}

double Block::sidewalk() const {
    return district == District::countryside ? 0.0 : 2.0;
}

Rectangle Block::interior() const {
    const auto inset = [&](Side side) {
        const RoadLevel level = roads[side];
        return half_width(level) + (level >= RoadLevel::residential ? sidewalk() : 0.0);
    };
    return {outline.x0 + inset(west), outline.y0 + inset(north), outline.x1 - inset(east),
            outline.y1 - inset(south)};
}

std::int64_t Layout::superblock_of(double coordinate) {
    return static_cast<std::int64_t>(std::floor(coordinate / superblock_edge));
}

District Layout::district(std::int64_t i, std::int64_t j) const {
    // Arithmetic shifts: groups of two also left of zero.
    PhiloxStream stream = cell_stream(seed_, Purpose::superblock_kind, i >> 1, j >> 1);
    std::array<District, 4> kinds{District::urban, District::residential, District::industrial,
                                  District::countryside};
    const double mood = stream.uniform();
    if (mood < 0.25) kinds[2] = District::countryside;
    if (mood > 0.65) kinds[2] = District::residential;
    const double group = 2 * superblock_edge;
    const Point middle{static_cast<double>(i >> 1) * group, static_cast<double>(j >> 1) * group};
    const double away = smoothstep(1100.0, 2600.0, std::hypot(middle.x - center_.x, middle.y - center_.y));
    const double density = away * static_cast<double>(noise_.fractal(Field::settlement, middle.x / 2400.0,
                                                                     middle.y / 2400.0, 2));
    if (density < -0.20)
        kinds = {District::countryside, District::residential, District::countryside, District::countryside};
    if (density < -0.50) kinds[1] = District::countryside;
    if (density > 0.55) kinds = {District::urban, District::residential, District::urban, kinds[2]};
    for (std::uint32_t k = 3; k > 0; --k) std::swap(kinds[k], kinds[stream.below(k + 1)]);
    return kinds[static_cast<std::size_t>((i & 1) * 2 + (j & 1))];
}

RoadLevel Layout::through_road(Purpose purpose, std::int64_t line) const {
    PhiloxStream stream = cell_stream(seed_, purpose, line, 0);
    return stream.uniform() < 0.35 ? RoadLevel::primary : RoadLevel::secondary;
}

void Layout::split(PhiloxStream& stream, Block block, std::vector<Block>& result) const {
    const double width = block.outline.width(), height = block.outline.height();
    const double largest = block.district == District::industrial || block.district == District::countryside
                               ? 19000.0
                           : block.district == District::urban ? 10500.0
                                                               : 9000.0;
    if (width * height <= largest) {
        result.push_back(block);
        return;
    }
    const double share = stream.uniform(0.43, 0.57);
    RoadLevel level = RoadLevel::residential;
    if (block.district == District::countryside)
        level = stream.uniform() < 0.45 ? RoadLevel::track : RoadLevel::none;
    Block first = block, second = block;
    if (width >= height) {
        first.outline.x1 = second.outline.x0 = mix(block.outline.x0, block.outline.x1, share);
        first.roads[Block::east] = second.roads[Block::west] = level;
    } else {
        first.outline.y1 = second.outline.y0 = mix(block.outline.y0, block.outline.y1, share);
        first.roads[Block::south] = second.roads[Block::north] = level;
    }
    split(stream, first, result);
    split(stream, second, result);
}

std::vector<Block> Layout::blocks(std::int64_t i, std::int64_t j) const {
    Block whole;
    whole.outline = {static_cast<double>(i) * superblock_edge, static_cast<double>(j) * superblock_edge,
                     static_cast<double>(i + 1) * superblock_edge,
                     static_cast<double>(j + 1) * superblock_edge};
    whole.roads = {through_road(Purpose::road_u, i), through_road(Purpose::road_u, i + 1),
                   through_road(Purpose::road_v, j), through_road(Purpose::road_v, j + 1)};
    whole.district = district(i, j);
    whole.cell_i = i;
    whole.cell_j = j;

    PhiloxStream stream = cell_stream(seed_, Purpose::superblock_split, i, j);
    std::vector<Block> result;
    split(stream, whole, result);

    // Uses are dealt like cards, not thrown like dice: each superblock has its share of every kind.
    using enum LandUse;
    // A plot in change is a building site now and then, else what its neighbours are.
    const bool site = stream.uniform() < 0.4;
    const LandUse usual = whole.district == District::urban ? apartments : industry;
    const LandUse changing = site ? construction : usual;
    std::vector<LandUse> deck;
    switch (whole.district) {
        case District::urban:
            deck = {apartments, apartments, parking, apartments, park, apartments, changing, apartments};
            break;
        case District::residential:
            deck = {houses, houses, park, houses, houses, meadow, houses, houses};
            break;
        case District::industrial:
            deck = {industry, parking, industry, changing, industry, industry};
            break;
        case District::countryside:
            deck = {wood, ploughed, crop, meadow, orchard, crop};
            break;
    }
    const std::size_t dealt = std::min(deck.size(), result.size());
    for (std::size_t k = dealt - 1; k > 0; --k)
        std::swap(deck[k], deck[stream.below(static_cast<std::uint32_t>(k) + 1)]);
    for (std::size_t k = 0; k < result.size(); ++k) {
        result[k].use = deck[k % deck.size()];
        result[k].number = static_cast<int>(k);
        result[k].tint = static_cast<float>(stream.uniform());
    }
    return result;
}

}  // namespace terrane::synth
