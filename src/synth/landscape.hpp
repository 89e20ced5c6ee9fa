#pragma once

#include <cstdint>
#include <vector>

#include "synth/layout.hpp"
#include "synth/noise.hpp"
#include "synth/road_frame.hpp"
#include "synth/terrain.hpp"

namespace terrane::synth {

/// The endless landscape of one seed before anything is built on it: relief, rivers, roads and land use.
/// Every answer is a pure function of (seed, position).
class Landscape {
  public:
    explicit Landscape(std::uint64_t seed)
        : seed_(seed),
          noise_(seed),
          terrain_(seed, noise_),
          frame_(seed, noise_),
          layout_(seed, noise_, frame_.to_frame({512.0, 512.0})) {}
    Landscape(const Landscape&) = delete;
    Landscape& operator=(const Landscape&) = delete;

    std::uint64_t seed() const { return seed_; }
    const Noise& noise() const { return noise_; }
    const Terrain& terrain() const { return terrain_; }
    const RoadFrame& frame() const { return frame_; }
    /// The blocks of a superblock. Next to a river, works, lots and building sites give way to parks and
    /// meadows.
    std::vector<Block> blocks(std::int64_t i, std::int64_t j) const;

  private:
    std::uint64_t seed_;
    Noise noise_;
    Terrain terrain_;
    RoadFrame frame_;
    Layout layout_;
};

}  // namespace terrane::synth
