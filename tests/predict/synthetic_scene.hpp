#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "predict/window_batch.hpp"

namespace terrane::test {

/// A scene of any size without files: "optical" u8 with three bands at scale 1 and "height" f32 at scale 2,
/// whose values are a function of the place. Holes: a band of rows in height, blocks in optical, and a
/// rectangle where both lack.
class SyntheticScene final : public predict::SceneSource {
  public:
    SyntheticScene(std::int64_t height, std::int64_t width)
        : height_(height),
          width_(width),
          modalities_{{"optical", DType::u8, 3, 1}, {"height", DType::f32, 1, 2}} {}

    std::int64_t height() const override { return height_; }
    std::int64_t width() const override { return width_; }
    const std::vector<predict::SourceModality>& modalities() const override { return modalities_; }

    static std::uint8_t optical(std::int64_t row, std::int64_t column, std::int64_t band) {
        return static_cast<std::uint8_t>((row * 31 + column * 17 + band * 71 + row * column / 7) % 251);
    }
    static float elevation(std::int64_t row, std::int64_t column) {
        return static_cast<float>((row * 13 + column * 29) % 101) * 0.5f;
    }
    bool hole(std::int64_t row, std::int64_t column) const {
        return row >= height_ / 4 && row < height_ / 2 && column >= width_ / 3 && column < width_ / 2;
    }
    bool optical_valid(std::int64_t row, std::int64_t column) const {
        return row >= 0 && column >= 0 && row < height_ && column < width_ &&
               (row / 40 + column / 50) % 5 != 0 && !hole(row, column);
    }
    /// For a pixel of the height itself, two reference pixels wide.
    bool height_valid(std::int64_t row, std::int64_t column) const {
        return row >= 0 && column >= 0 && row * 2 < height_ && column * 2 < width_ && row % 97 >= 9 &&
               !hole(row * 2, column * 2);
    }
    bool any_valid(std::int64_t row, std::int64_t column) const {
        return optical_valid(row, column) || height_valid(row / 2, column / 2);
    }

    void read(std::size_t modality, predict::Range rows, predict::Range columns, std::span<std::byte> values,
              std::span<std::uint8_t> validity) override {
        const std::int64_t scale = modalities_[modality].scale;
        std::size_t pixel = 0;
        for (std::int64_t y = rows.begin / scale; y < rows.end / scale; ++y) {
            for (std::int64_t x = columns.begin / scale; x < columns.end / scale; ++x, ++pixel) {
                const bool valid = modality == 0 ? optical_valid(y, x) : height_valid(y, x);
                validity[pixel] = valid ? 1 : 0;
                if (modality == 0) {
                    for (std::int64_t b = 0; b < 3; ++b) {
                        values[pixel * 3 + static_cast<std::size_t>(b)] =
                            std::byte{valid ? optical(y, x, b) : std::uint8_t{0}};
                    }
                } else {
                    const float value = valid ? elevation(y, x) : 0.0f;
                    std::memcpy(values.data() + pixel * 4, &value, 4);
                }
            }
        }
    }

  private:
    std::int64_t height_, width_;
    std::vector<predict::SourceModality> modalities_;
};

/// Stands in for a network: three classes from the pixel itself, and from its place in the window, so that
/// every window says something else about a pixel and only exact blending gives equal maps.
class PlaceClassifier final : public predict::WindowClassifier {
  public:
    PlaceClassifier(std::int64_t window, std::int64_t batch)
        : window_(window),
          batch_(batch),
          probabilities_(static_cast<std::size_t>(batch * window * window * 3)) {}

    std::int64_t window() const override { return window_; }
    std::int64_t classes() const override { return 3; }
    std::int64_t batch() const override { return batch_; }

    std::span<const float> classify(const predict::WindowBatch& batch) override {
        std::size_t to = 0;
        for (const predict::InputWindow& input : batch.windows()) {
            const auto* optical = reinterpret_cast<const std::uint8_t*>(input.modalities[0].values.data());
            const auto* height = reinterpret_cast<const float*>(input.modalities[1].values.data());
            for (std::int64_t y = 0; y < window_; ++y) {
                for (std::int64_t x = 0; x < window_; ++x, to += 3) {
                    const auto pixel = static_cast<std::size_t>(y * window_ + x) * 3;
                    const float a = 1.0f + static_cast<float>(optical[pixel] + optical[pixel + 2]);
                    const float b =
                        1.0f + 4 * height[static_cast<std::size_t>(y / 2 * (window_ / 2) + x / 2)];
                    const float c = 1.0f + static_cast<float>((x * 7 + y * 5) % 60);
                    probabilities_[to] = a / (a + b + c);
                    probabilities_[to + 1] = b / (a + b + c);
                    probabilities_[to + 2] = c / (a + b + c);
                }
            }
        }
        return probabilities_;
    }

  private:
    std::int64_t window_, batch_;
    std::vector<float> probabilities_;
};

}  // namespace terrane::test
