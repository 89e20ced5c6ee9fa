#pragma once

#include <cstdint>
#include <vector>

#include "config/training.hpp"
#include "data/tile_source.hpp"

namespace terrane::data {

/// Which tile is the n-th training sample of a run: a pure function of the seed and n, the same for every
/// number of ranks, threads and micro-steps, so that resuming needs no state.
///
/// The samples are an endless stream cut into passes over the N tiles; in each pass every tile occurs exactly
/// once, in an order drawn anew (Permutation keyed by seed and pass). An optimizer step takes the next
/// train.global_batch samples of the stream, across the border of two passes if need be: no tile is dropped
/// and none is repeated to fill a batch up.
///
/// sampler.balance = b mixes in draws that even out the classes: a sample is, with probability b, drawn
/// instead so: a class c uniformly among the K classes that occur, then tile t with probability n_tc / n_c
/// (labelled pixels of c in t, and in all tiles). Hence P(t) = (1 - b) / N + b / K * sum_c n_tc / n_c.
class Sampler {
  public:
    /// Throws Error E0514 (65) if the source has no tiles.
    Sampler(const config::Sampler& settings, std::uint64_t seed, const TileSource& source);

    std::int64_t tile(std::int64_t sample) const;

    /// Samples that count as one epoch: sampler.tiles_per_epoch, or all tiles.
    std::int64_t samples_per_epoch() const { return samples_per_epoch_; }
    /// Optimizer steps of an epoch, rounded up.
    std::int64_t steps_per_epoch(std::int64_t global_batch) const;

  private:
    struct ClassTable {
        std::vector<std::int64_t> tiles;        ///< those with the class
        std::vector<std::int64_t> pixels_upto;  ///< running sum of the class's pixels
    };

    std::int64_t balanced_tile(std::int64_t sample) const;

    std::uint64_t seed_;
    double balance_;
    std::int64_t tiles_;
    std::int64_t samples_per_epoch_;
    std::vector<ClassTable> classes_;  ///< classes that occur; only for balanced draws
};

}  // namespace terrane::data
