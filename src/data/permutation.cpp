#include "data/permutation.hpp"

#include "base/error.hpp"
#include "base/philox.hpp"

namespace terrane::data {

Permutation::Permutation(std::uint64_t key, std::int64_t size)
    : key_(key), size_(static_cast<std::uint64_t>(size)) {
    TERRANE_ASSERT(size > 0, "a permutation of {} elements", size);
    while (std::uint64_t{1} << (2 * half_bits_) < size_) ++half_bits_;
    TERRANE_ASSERT(half_bits_ <= 31, "a permutation of {} elements", size);
}

std::int64_t Permutation::operator()(std::int64_t index) const {
    constexpr std::uint64_t rounds = 8;
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    auto value = static_cast<std::uint64_t>(index);
    do {
        std::uint64_t left = value >> half_bits_;
        std::uint64_t right = value & mask;
        for (std::uint64_t round = 0; round < rounds; ++round) {
            const std::uint64_t mixed = (left ^ Philox::draw(key_, round, right)[0]) & mask;
            left = right;
            right = mixed;
        }
        value = left << half_bits_ | right;
    } while (value >= size_);
    return static_cast<std::int64_t>(value);
}

}  // namespace terrane::data
