#include "report/canvas.hpp"

#include <algorithm>

#include "report/font.hpp"

namespace terrane::report {

namespace {

constexpr std::int64_t glyph_width = 5;
constexpr std::int64_t advance = glyph_width + 1;

}  // namespace

Canvas::Canvas(std::int64_t width, std::int64_t height, Color background)
    : width_(width), height_(height), pixels_(static_cast<std::size_t>(width * height * 3)) {
    fill(0, 0, width, height, background);
}

Color Canvas::at(std::int64_t x, std::int64_t y) const {
    const auto offset = static_cast<std::size_t>((y * width_ + x) * 3);
    return {pixels_.at(offset), pixels_.at(offset + 1), pixels_.at(offset + 2)};
}

void Canvas::fill(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Color color) {
    const std::int64_t right = std::min(x + width, width_);
    const std::int64_t bottom = std::min(y + height, height_);
    for (std::int64_t row = std::max<std::int64_t>(y, 0); row < bottom; ++row) {
        for (std::int64_t column = std::max<std::int64_t>(x, 0); column < right; ++column) {
            const auto offset = (row * width_ + column) * 3;
            std::copy(color.begin(), color.end(), pixels_.begin() + offset);
        }
    }
}

void Canvas::text(std::int64_t x, std::int64_t y, const std::string& text, Color color, std::int64_t scale) {
    for (const char character : text) {
        const Glyph& glyph = glyph_of(character);
        for (std::int64_t row = 0; row < 7; ++row) {
            for (std::int64_t column = 0; column < glyph_width; ++column) {
                if (glyph[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] != '#') continue;
                fill(x + column * scale, y + row * scale, scale, scale, color);
            }
        }
        x += advance * scale;
    }
}

void Canvas::text_upwards(std::int64_t x, std::int64_t y, const std::string& text, Color color,
                          std::int64_t scale) {
    for (const char character : text) {
        const Glyph& glyph = glyph_of(character);
        for (std::int64_t row = 0; row < 7; ++row) {
            for (std::int64_t column = 0; column < glyph_width; ++column) {
                if (glyph[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] != '#') continue;
                fill(x + row * scale, y - (column + 1) * scale, scale, scale, color);
            }
        }
        y -= advance * scale;
    }
}

std::int64_t Canvas::text_width(const std::string& text, std::int64_t scale) {
    return static_cast<std::int64_t>(text.size()) * advance * scale - (text.empty() ? 0 : scale);
}

}  // namespace terrane::report
