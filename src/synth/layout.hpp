#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "synth/geometry.hpp"
#include "synth/noise.hpp"

namespace terrane::synth {

/// The hierarchy of roads. Half widths from the axis to the kerb; sidewalks come on top.
enum class RoadLevel : std::uint8_t { none, track, residential, secondary, primary };
double half_width(RoadLevel level);

enum class District : std::uint8_t { urban, residential, industrial, countryside };

/// What a block of land between roads is used for.
enum class LandUse : std::uint8_t {
    houses,
    apartments,
    industry,
    parking,
    park,
    construction,
    crop,
    ploughed,
    meadow,
    orchard,
    wood,
};

/// One block of land in the road frame. Its edges are road axes (or field boundaries): everything inside, its
/// halves of the surrounding roads included, is decided by the block alone.
struct Block {
    enum Side { west, east, north, south };

    Rectangle outline;                 ///< in the road frame
    std::array<RoadLevel, 4> roads{};  ///< by Side
    District district = District::urban;
    LandUse use = LandUse::park;
    std::int64_t cell_i = 0;  ///< the superblock and the number in it: the block's random key
    std::int64_t cell_j = 0;
    int number = 0;
    float tint = 0;  ///< the block's own random number in [0, 1)

    double sidewalk() const;     ///< width of the sidewalk along its roads, metres; 0 in the countryside
    Rectangle interior() const;  ///< without roads and sidewalks
};

/// Superblocks of 264 m, bounded by through roads, each split into blocks by minor roads. Of every 2 x 2
/// superblocks one is urban and one countryside, so that any window of 600 m shows every kind of land; beyond
/// a kilometre or two from `center` towns and open country may spread further.
class Layout {
  public:
    /// `center` in the road frame: the middle of the smallest scenes.
    Layout(std::uint64_t seed, const Noise& noise, Point center)
        : seed_(seed), noise_(noise), center_(center) {}

    static constexpr double superblock_edge = 264.0;
    static std::int64_t superblock_of(double coordinate);

    std::vector<Block> blocks(std::int64_t i, std::int64_t j) const;

  private:
    District district(std::int64_t i, std::int64_t j) const;
    RoadLevel through_road(Purpose purpose, std::int64_t line) const;
    void split(PhiloxStream& stream, Block block, std::vector<Block>& result) const;

    std::uint64_t seed_;
    const Noise& noise_;
    Point center_;
};

}  // namespace terrane::synth
