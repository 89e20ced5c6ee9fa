#pragma once

#include <cstdint>

namespace terrane::data {

/// A pseudo-random permutation of 0 ... size-1 that is computed, not stored: a balanced Feistel network of
/// eight rounds over the next even power of two, with Philox as round function, walked until the value falls
/// below `size` (Black and Rogaway 2002, "cycle walking"; fewer than four rounds of it on average).
class Permutation {
  public:
    Permutation(std::uint64_t key, std::int64_t size);

    /// Where `index` in [0, size) goes.
    std::int64_t operator()(std::int64_t index) const;

  private:
    std::uint64_t key_;
    std::uint64_t size_;
    int half_bits_ = 1;
};

}  // namespace terrane::data
