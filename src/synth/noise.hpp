#pragma once

#include <array>
#include <cstdint>

#include "base/philox.hpp"

namespace terrane::synth {

/// What a random number is for. Every purpose has its own stream, so that adding one changes no other.
enum class Purpose : std::uint8_t {
    lattice,
    frame,
    superblock_kind,
    road_u,
    road_v,
    superblock_split,
    block_content,
    optical_noise,
    height_noise,
    speckle,
    hole,
    scribble,
};

/// A random stream for one cell (i, j) of some grid: a pure function of (seed, purpose, i, j).
inline PhiloxStream cell_stream(std::uint64_t seed, Purpose purpose, std::int64_t i, std::int64_t j) {
    const std::uint64_t mask = (std::uint64_t{1} << 28) - 1;
    const std::uint64_t stream = (static_cast<std::uint64_t>(purpose) << 56) |
                                 ((static_cast<std::uint64_t>(i) & mask) << 28) |
                                 (static_cast<std::uint64_t>(j) & mask);
    return PhiloxStream(seed, stream);
}

/// The independent noise fields of a scene.
enum class Field : std::uint32_t {
    warp_u = 1,
    warp_v,
    relief,
    micro_relief,
    river_course,
    river_width,
    shore,
    canopy,
    texture_coarse,
    texture_middle,
    texture_fine,
    vigour,
    void_shape,
    hole_shape,
    backscatter,
    settlement,
    mistake_x,
    mistake_y,
    doubt,
};

/// Smooth value noise on the integer lattice. The lattice values are a table drawn once from Philox; a
/// lattice point picks its entry by an integer hash, because ten Philox rounds per corner, octave and pixel
/// would be the whole running time.
class Noise {
  public:
    explicit Noise(std::uint64_t seed);

    /// In [-1, 1], twice continuously differentiable, lattice distance 1.
    float at(Field field, double x, double y) const;
    /// The same in one dimension.
    float at(Field field, double s) const;
    /// Sum of `octaves` octaves, each of half the wavelength and half the amplitude; in [-2, 2].
    float fractal(Field field, double x, double y, int octaves) const;

  private:
    static constexpr std::size_t entries = 4096;
    float lattice(Field field, std::int64_t ix, std::int64_t iy) const;
    std::array<float, entries> table_;
};

}  // namespace terrane::synth
