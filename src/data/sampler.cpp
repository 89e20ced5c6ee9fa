#include "data/sampler.hpp"

#include <algorithm>

#include "base/philox.hpp"
#include "data/permutation.hpp"

namespace terrane::data {

namespace {

std::uint64_t word64(const Philox::Counter& words, std::size_t first) {
    return std::uint64_t{words[first]} << 32 | words[first + 1];
}

// A number in [0, 1) with 53 random bits.
double fraction(std::uint64_t word) {
    return static_cast<double>(word >> 11) * 0x1.0p-53;
}

}  // namespace

Sampler::Sampler(const config::Sampler& settings, std::uint64_t seed, const TileSource& source)
    : seed_(seed),
      balance_(settings.balance),
      tiles_(source.size()),
      samples_per_epoch_(settings.tiles_per_epoch > 0 ? settings.tiles_per_epoch : source.size()) {
    if (tiles_ == 0) {
        throw Error(ExitCode::data_invalid, 514, "the tile store has no training tiles.",
                    "Check [split] and grid.min_valid, then build the tiles again.");
    }
    if (balance_ <= 0) return;
    for (std::int64_t c = 0; c < source.layout().classes; ++c) {
        ClassTable table;
        std::int64_t pixels = 0;
        for (std::int64_t tile = 0; tile < tiles_; ++tile) {
            const std::int64_t here = source.class_pixels(tile)[static_cast<std::size_t>(c)];
            if (here == 0) continue;
            pixels += here;
            table.tiles.push_back(tile);
            table.pixels_upto.push_back(pixels);
        }
        if (pixels > 0) classes_.push_back(std::move(table));
    }
}

std::int64_t Sampler::tile(std::int64_t sample) const {
    if (!classes_.empty()) {
        const auto words =
            Philox::draw(seed_, stream_of("sampler.balance"), static_cast<std::uint64_t>(sample));
        if (fraction(word64(words, 0)) < balance_) return balanced_tile(sample);
    }
    const std::int64_t pass = sample / tiles_;
    const auto key = Philox::draw(seed_, stream_of("sampler.pass"), static_cast<std::uint64_t>(pass));
    return Permutation(word64(key, 0), tiles_)(sample % tiles_);
}

std::int64_t Sampler::balanced_tile(std::int64_t sample) const {
    const auto words = Philox::draw(seed_, stream_of("sampler.class"), static_cast<std::uint64_t>(sample));
    const auto chosen =
        static_cast<std::size_t>(fraction(word64(words, 0)) * static_cast<double>(classes_.size()));
    const ClassTable& table = classes_[chosen];
    const auto pixel =
        static_cast<std::int64_t>(fraction(word64(words, 2)) * static_cast<double>(table.pixels_upto.back()));
    const auto found = std::upper_bound(table.pixels_upto.begin(), table.pixels_upto.end(), pixel);
    return table.tiles[static_cast<std::size_t>(found - table.pixels_upto.begin())];
}

std::int64_t Sampler::steps_per_epoch(std::int64_t global_batch) const {
    return (samples_per_epoch_ + global_batch - 1) / global_batch;
}

}  // namespace terrane::data
