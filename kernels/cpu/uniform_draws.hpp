#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/isa.hpp"
#include "formulas/dropout.hpp"

/// The random numbers of dropout, many at a time.
namespace terrane::cpu {

/// One sample's draws; see formulas::dropout_keeps.
struct Draw {
    std::uint64_t seed, stream;
    std::int64_t step, sample, elements;
    double probability;

    bool keeps(std::int64_t element) const {
        return formulas::dropout_keeps(seed, stream, step, sample, elements, element, probability);
    }
};

inline constexpr std::int64_t drawn = 64;  // elements at once

/// The uniform numbers of `drawn` elements from `first` on: Philox as in base/philox.hpp, round by round over
/// all draws, so that it vectorises. A draw serves four neighbouring elements, and one more draw those that a
/// first element between two draws cuts off.
TERRANE_INLINE void draw_uniform(const Draw& draw, std::int64_t first, float* uniform) {
    constexpr std::int64_t words = formulas::dropout_words, draws = drawn / words + 1;
    std::uint32_t word0[draws], word1[draws], word2[draws], word3[draws];
    const std::uint64_t stream = draw.stream ^ static_cast<std::uint64_t>(draw.step);
    const std::int64_t begin = draw.sample * draw.elements + first;
    const auto base = static_cast<std::uint64_t>(begin / words);
#pragma omp simd
    for (std::int64_t i = 0; i < draws; ++i) {
        const std::uint64_t index = base + static_cast<std::uint64_t>(i);
        word0[i] = static_cast<std::uint32_t>(index);
        word1[i] = static_cast<std::uint32_t>(index >> 32);
        word2[i] = static_cast<std::uint32_t>(stream);
        word3[i] = static_cast<std::uint32_t>(stream >> 32);
    }
    auto key0 = static_cast<std::uint32_t>(draw.seed);
    auto key1 = static_cast<std::uint32_t>(draw.seed >> 32);
    for (int round = 0; round < 10; ++round) {
#pragma omp simd
        for (std::int64_t i = 0; i < draws; ++i) {
            const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * word0[i];
            const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * word2[i];
            word0[i] = static_cast<std::uint32_t>(product1 >> 32) ^ word1[i] ^ key0;
            word1[i] = static_cast<std::uint32_t>(product1);
            word2[i] = static_cast<std::uint32_t>(product0 >> 32) ^ word3[i] ^ key1;
            word3[i] = static_cast<std::uint32_t>(product0);
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    float all[draws * words];
    const auto number = [](std::uint32_t word) {
        return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * 0x1.0p-24f;
    };
#pragma omp simd
    for (std::int64_t i = 0; i < draws; ++i) {
        all[4 * i] = number(word0[i]);
        all[4 * i + 1] = number(word1[i]);
        all[4 * i + 2] = number(word2[i]);
        all[4 * i + 3] = number(word3[i]);
    }
    std::memcpy(uniform, all + begin % words, static_cast<std::size_t>(drawn) * sizeof(float));
}

}  // namespace terrane::cpu
