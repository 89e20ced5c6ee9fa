#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace terrane {

/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
/// (SC 2011). A pure function of (key, counter): the same draw on any rank, thread, device and in any order.
struct Philox {
    using Counter = std::array<std::uint32_t, 4>;

    /// Four random words for a 64-bit key and a 128-bit counter.
    static constexpr Counter draw(std::uint64_t key, Counter counter) {
        std::uint32_t key0 = static_cast<std::uint32_t>(key);
        std::uint32_t key1 = static_cast<std::uint32_t>(key >> 32);
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
            const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
            counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
                       static_cast<std::uint32_t>(product1),
                       static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
                       static_cast<std::uint32_t>(product0)};
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        return counter;
    }

    /// Four random words for a key and two 64-bit counters, the usual (stream, index).
    static constexpr Counter draw(std::uint64_t key, std::uint64_t stream, std::uint64_t index) {
        return draw(key, Counter{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                                 static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)});
    }

    /// A word as a float uniform in [0, 1): its upper 24 bits, so that every value is exact.
    static constexpr float uniform(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1.0p-24f; }
};

/// A sequential view of one Philox stream, for host code that draws one number after another.
class PhiloxStream {
  public:
    PhiloxStream(std::uint64_t key, std::uint64_t stream) : key_(key), stream_(stream) {}

    std::uint32_t word() {
        if (used_ == 4) {
            block_ = Philox::draw(key_, stream_, index_++);
            used_ = 0;
        }
        return block_[used_++];
    }
    /// Uniform in [0, 1).
    double uniform() { return Philox::uniform(word()); }
    /// Uniform in [low, high).
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// Uniform integer in [0, count), without modulo bias (Lemire's multiply-shift on 32 bits, rejecting).
    std::uint32_t below(std::uint32_t count) {
        const std::uint32_t threshold = (0u - count) % count;
        for (;;) {
            const std::uint64_t product = std::uint64_t{word()} * count;
            if (static_cast<std::uint32_t>(product) >= threshold) return static_cast<std::uint32_t>(product >> 32);
        }
    }
    /// Standard normal by Box and Muller.
    double normal() {
        const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
        return radius * std::cos(6.283185307179586476925 * uniform());
    }

  private:
    std::uint64_t key_;
    std::uint64_t stream_;
    std::uint64_t index_ = 0;
    Philox::Counter block_{};
    unsigned used_ = 4;
};

/// FNV-1a of a name: turns parameter and modality names into Philox streams.
constexpr std::uint64_t stream_of(std::string_view name) {
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (const char character : name) {
        hash ^= static_cast<unsigned char>(character);
        hash *= 0x100000001b3ull;
    }
    return hash;
}

}  // namespace terrane
