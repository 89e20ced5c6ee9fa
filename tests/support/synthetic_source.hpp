#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "data/tile_source.hpp"

namespace terrane::test {

/// Tiles made of 8-pixel squares of one class each, in two modalities that tell the classes apart: "optical"
/// (u8, 3 bands) and "height" (f32, 1 band, two reference pixels per pixel). A pure function of tile and
/// pixel, with some noise; every 50th square is not labelled. The maps of weak supervision that it is asked
/// for are functions of the labels.
class SyntheticSource final : public data::TileSource {
  public:
    SyntheticSource(std::int64_t tiles, std::int64_t edge, std::int64_t classes,
                    std::vector<std::string> maps = {})
        : tiles_(tiles) {
        layout_.maps = std::move(maps);
        layout_.edge = edge;
        layout_.classes = classes;
        layout_.modalities = {{"optical", DType::u8, 3, 1, {3, {1, 0, -1e9f, 1e9f, 100, 1 / 50.0f}}},
                              {"height", DType::f32, 1, 2, {{1, 0, -1e9f, 1e9f, 5, 1 / 4.0f}}}};
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
            std::vector<std::int64_t> counts(static_cast<std::size_t>(classes), 0);
            for (std::int64_t y = 0; y < edge; ++y) {
                for (std::int64_t x = 0; x < edge; ++x) {
                    const std::uint8_t label = label_at(tile, x, y);
                    if (label != 255) ++counts[label];
                }
            }
            pixels_.push_back(std::move(counts));
        }
    }

    const data::TileLayout& layout() const override { return layout_; }
    std::int64_t size() const override { return tiles_; }
    std::span<const std::int64_t> class_pixels(std::int64_t tile) const override {
        return pixels_[static_cast<std::size_t>(tile)];
    }
    std::string identity() const override { return "synthetic"; }
    std::string describe(std::int64_t tile) const override { return fmt::format("synthetic tile {}", tile); }

    void read(std::int64_t tile, data::TileMemory& destination) override {
        if (before_read) before_read(tile);
        if (tile == broken_tile) {
            throw Error(ExitCode::data_invalid, 410, "the checksum of shard.h5 does not match.",
                        "Build the tiles again.");
        }
        reads.fetch_add(1);
        auto* optical = destination.modalities[0].values.as<std::uint8_t>();
        auto* height = destination.modalities[1].values.as<float>();
        auto* labels = destination.labels.as<std::uint8_t>();
        for (auto& modality : destination.modalities) {
            for (auto& valid : modality.validity.span<std::uint8_t>()) valid = 1;
            modality.present = true;
        }
        for (std::int64_t y = 0; y < layout_.edge; ++y) {
            for (std::int64_t x = 0; x < layout_.edge; ++x) {
                const std::int64_t pixel = y * layout_.edge + x;
                const std::uint8_t label = label_at(tile, x, y);
                const auto noise =
                    Philox::draw(7, static_cast<std::uint64_t>(tile), static_cast<std::uint64_t>(pixel));
                const std::uint32_t code = label == 255 ? 0 : label;
                labels[pixel] = label;
                for (std::size_t m = 0; m < layout_.maps.size(); ++m) {
                    destination.maps[m].as<std::uint8_t>()[pixel] = map_at(layout_.maps[m], tile, x, y);
                }
                for (std::uint32_t b = 0; b < 3; ++b) {
                    optical[pixel * 3 + b] =
                        static_cast<std::uint8_t>(40 + 50 * ((code + b) % 3) + noise[b] % 30);
                }
                if (x % 2 == 0 && y % 2 == 0) {
                    height[y / 2 * (layout_.edge / 2) + x / 2] =
                        static_cast<float>(code * 4) + Philox::uniform(noise[3]);
                }
            }
        }
    }

    std::uint8_t label_at(std::int64_t tile, std::int64_t x, std::int64_t y) const {
        const auto square = static_cast<std::uint64_t>(y / 8 * 1000 + x / 8);
        const auto word = Philox::draw(3, static_cast<std::uint64_t>(tile), square)[0];
        if (word % 50 == 0) return 255;
        return static_cast<std::uint8_t>(word / 50 % static_cast<std::uint32_t>(layout_.classes));
    }

    /// Scribbles on two columns of each square, pseudo-labels that are late by two pixels, distances that
    /// fall off or grow along a row.
    std::uint8_t map_at(const std::string& map, std::int64_t tile, std::int64_t x, std::int64_t y) const {
        if (map == "scribble") return x % 8 == 3 || x % 8 == 4 ? label_at(tile, x, y) : std::uint8_t{255};
        if (map == "pseudo") return label_at(tile, std::max<std::int64_t>(0, x - 2), y);
        if (map == "scribble_distance") return static_cast<std::uint8_t>(255 - 30 * (x % 8));
        return static_cast<std::uint8_t>(9 * (x % 8) * (y % 3));
    }

    std::int64_t broken_tile = -1;
    std::function<void(std::int64_t tile)> before_read;
    std::atomic<std::int64_t> reads{0};

  private:
    data::TileLayout layout_;
    std::int64_t tiles_;
    std::vector<std::vector<std::int64_t>> pixels_;
};

}  // namespace terrane::test
