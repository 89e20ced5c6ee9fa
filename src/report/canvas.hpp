#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace terrane::report {

using Color = std::array<std::uint8_t, 3>;

/// An RGB picture to draw rectangles and small text on. What lies outside is clipped.
class Canvas {
  public:
    Canvas(std::int64_t width, std::int64_t height, Color background);

    std::int64_t width() const { return width_; }
    std::int64_t height() const { return height_; }
    /// [height, width, 3]
    const std::vector<std::uint8_t>& pixels() const { return pixels_; }
    Color at(std::int64_t x, std::int64_t y) const;

    void fill(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Color color);
    /// Text with its upper left corner at (x, y); each font pixel becomes `scale` pixels wide. Letters are
    /// drawn as capitals, characters that the font lacks as an empty box.
    void text(std::int64_t x, std::int64_t y, const std::string& text, Color color, std::int64_t scale = 1);
    /// The same text running upwards, its lower left corner at (x, y).
    void text_upwards(std::int64_t x, std::int64_t y, const std::string& text, Color color,
                      std::int64_t scale = 1);

    static std::int64_t text_width(const std::string& text, std::int64_t scale = 1);
    static constexpr std::int64_t text_height(std::int64_t scale = 1) { return 7 * scale; }

  private:
    std::int64_t width_;
    std::int64_t height_;
    std::vector<std::uint8_t> pixels_;
};

}  // namespace terrane::report
