#include "report/svg_chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace terrane::report {

namespace {

constexpr double width = 460, height = 250;
constexpr double left = 62, right = 12, top = 28, bottom = 30;
constexpr std::size_t most_points = 600;
constexpr std::size_t most_dots = 60;

struct Axis {
    double low = 0, high = 1, tick = 0.2;

    /// Round numbers around the values, about five intervals.
    static Axis around(double smallest, double largest) {
        if (largest - smallest < 1e-12 * std::max(1.0, std::abs(largest))) {
            const double margin = std::max(std::abs(largest) * 0.1, 1e-6);
            smallest -= margin;
            largest += margin;
        }
        const double rough = (largest - smallest) / 5;
        const double decade = std::pow(10, std::floor(std::log10(rough)));
        const double tick = (rough / decade < 1.5   ? 1
                             : rough / decade < 3.5 ? 2
                             : rough / decade < 7.5 ? 5
                                                    : 10) *
                            decade;
        return {std::floor(smallest / tick) * tick, std::ceil(largest / tick) * tick, tick};
    }
    double share(double value) const { return (value - low) / (high - low); }
    int ticks() const { return static_cast<int>(std::lround((high - low) / tick)); }
    /// A tick's value; what rounding leaves of zero is zero.
    double at(int index) const {
        const double value = low + index * tick;
        return std::abs(value) < tick * 1e-6 ? 0 : value;
    }
};

std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points) {
    if (points.size() <= most_points) return points;
    std::vector<std::pair<double, double>> means;
    for (std::size_t i = 0; i < most_points; ++i) {
        const std::size_t begin = i * points.size() / most_points;
        const std::size_t end = (i + 1) * points.size() / most_points;
        double x = 0, y = 0;
        for (std::size_t k = begin; k < end; ++k) {
            x += points[k].first;
            y += points[k].second;
        }
        const auto count = static_cast<double>(end - begin);
        means.emplace_back(x / count, y / count);
    }
    return means;
}

std::string draw_grid(const Axis& x, const Axis& y) {
    std::string svg;
    for (int i = 0; i <= y.ticks(); ++i) {
        const double at = height - bottom - y.share(y.at(i)) * (height - top - bottom);
        svg += fmt::format(
            "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
            "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.4g}</text>",
            left, width - right, at, left - 6, at + 4, y.at(i));
    }
    for (int i = 0; i <= x.ticks(); ++i) {
        svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.6g}</text>",
                           left + x.share(x.at(i)) * (width - left - right), height - bottom + 16, x.at(i));
    }
    return svg;
}

}  // namespace

std::string escaped(const std::string& text) {
    std::string safe;
    for (const char character : text) {
        switch (character) {
            case '&':
                safe += "&amp;";
                break;
            case '<':
                safe += "&lt;";
                break;
            case '>':
                safe += "&gt;";
                break;
            case '"':
                safe += "&quot;";
                break;
            case '\'':
                safe += "&#39;";
                break;
            case '\n':
                safe += '\n';
                break;
            default:
                safe += static_cast<unsigned char>(character) < 0x20 || character == 0x7f ? ' ' : character;
        }
    }
    return safe;
}

std::string svg_chart(const std::string& title, const std::vector<Curve>& curves) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    double x_low = infinity, x_high = -infinity, y_low = infinity, y_high = -infinity;
    std::vector<std::vector<std::pair<double, double>>> drawn;
    for (const Curve& curve : curves) {
        for (const auto& [x, y] : drawn.emplace_back(thinned(curve.points))) {
            x_low = std::min(x_low, x);
            x_high = std::max(x_high, x);
            y_low = std::min(y_low, y);
            y_high = std::max(y_high, y);
        }
    }
    if (x_low > x_high) return {};
    const Axis x_axis = Axis::around(std::min(x_low, 0.0), x_high);
    const Axis y_axis = Axis::around(y_low, y_high);
    std::string svg = fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><text class=\"title\" x=\"{}\" "
        "y=\"16\">{}</text>",
        width, height, escaped(title), left, escaped(title));
    svg += draw_grid(x_axis, y_axis);
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const std::string color = escaped(curves[i].color);
        std::string points, dots;
        for (const auto& [x, y] : drawn[i]) {
            const double across = left + x_axis.share(x) * (width - left - right);
            const double down = height - bottom - y_axis.share(y) * (height - top - bottom);
            points += fmt::format("{:.1f},{:.1f} ", across, down);
            if (drawn[i].size() > most_dots) continue;
            dots += fmt::format(
                "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"><title>{}, step {:.6g}: "
                "{:.5g}</title></circle>",
                across, down, color, escaped(curves[i].name), x, y);
        }
        svg += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>{}",
                           color, points, dots);
    }
    return svg + "</svg>";
}

}  // namespace terrane::report
