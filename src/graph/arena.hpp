#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace terrane::graph {

/// A block of memory that must exist during the steps [first, last] of a program.
struct Lifetime {
    std::size_t bytes = 0;
    int first = 0;
    int last = 0;
};

/// Where every block lies in one arena.
struct ArenaPlan {
    std::vector<std::size_t> offsets;  ///< one per block, multiples of device::alignment
    std::size_t bytes = 0;             ///< size of the arena
    std::size_t lower_bound = 0;       ///< most bytes alive at once: no plan can be smaller
};

/// Places blocks so that two whose lifetimes overlap never share a byte: largest first, each at the lowest
/// offset that fits between the blocks already placed. Deterministic.
ArenaPlan plan_arena(const std::vector<Lifetime>& blocks);

}  // namespace terrane::graph
