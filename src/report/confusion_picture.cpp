#include "report/confusion_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "raster/writer.hpp"

namespace terrane::report {

namespace {

constexpr Color white{255, 255, 255};
constexpr Color black{20, 20, 20};
constexpr Color grey{225, 225, 225};

constexpr std::int64_t margin = 16;
constexpr std::int64_t cell = 64;
constexpr std::int64_t scale = 2;
constexpr std::int64_t swatch = 14;
constexpr std::size_t longest_name = 24;

std::string short_name(const std::string& name) {
    return name.size() <= longest_name ? name : name.substr(0, longest_name - 1) + ".";
}

// From white to dark blue; the square root keeps small shares visible.
Color shade(double share) {
    const double depth = std::sqrt(std::clamp(share, 0.0, 1.0));
    const auto mix = [depth](double light, double dark) {
        return static_cast<std::uint8_t>(std::lround(light + (dark - light) * depth));
    };
    return {mix(250, 8), mix(252, 48), mix(255, 107)};
}

Color own_color(const ScoredClass& item) {
    return {static_cast<std::uint8_t>(item.color[0]), static_cast<std::uint8_t>(item.color[1]),
            static_cast<std::uint8_t>(item.color[2])};
}

void draw_swatch(Canvas& canvas, std::int64_t x, std::int64_t y, const ScoredClass& item) {
    canvas.fill(x - 1, y - 1, swatch + 2, swatch + 2, black);
    canvas.fill(x, y, swatch, swatch, own_color(item));
}

}  // namespace

Canvas draw_confusion(const ConfusionMatrix& matrix, const ScoreContext& context) {
    const std::int64_t classes = matrix.classes();
    std::int64_t names = 0;
    for (const ScoredClass& item : context.classes) {
        names = std::max(names, Canvas::text_width(short_name(item.name), scale));
    }
    const Scores scores = score(matrix);
    const std::string title = fmt::format("{}: OA {:.1f}%  mIoU {:.1f}%  mF1 {:.1f}%", context.split,
                                          100 * scores.oa, 100 * scores.miou, 100 * scores.mf1);
    const std::string subtitle = "rows: truth, columns: prediction, % of the row";
    const std::int64_t line = Canvas::text_height(scale) + 8;
    const std::int64_t left = margin + names + 8 + swatch + 10;
    const std::int64_t top = margin + 2 * line + names + 8 + swatch + 10;
    const std::int64_t text_width =
        std::max(Canvas::text_width(title, scale), Canvas::text_width(subtitle, scale));
    const std::int64_t width = std::max(left + classes * cell, margin + text_width) + margin;
    Canvas canvas(width, top + classes * cell + margin, white);
    canvas.text(margin, margin, title, black, scale);
    canvas.text(margin, margin + line, subtitle, black, scale);

    for (std::int64_t i = 0; i < classes; ++i) {
        const ScoredClass& item = context.classes[static_cast<std::size_t>(i)];
        const std::string name = short_name(item.name);
        const std::int64_t middle = i * cell + cell / 2;
        canvas.text(left - 10 - swatch - 8 - Canvas::text_width(name, scale),
                    top + middle - Canvas::text_height(scale) / 2, name, black, scale);
        draw_swatch(canvas, left - 10 - swatch, top + middle - swatch / 2, item);
        canvas.text_upwards(left + middle - Canvas::text_height(scale) / 2, top - 10 - swatch - 8, name,
                            black, scale);
        draw_swatch(canvas, left + middle - swatch / 2, top - 10 - swatch, item);
    }

    for (std::int64_t truth = 0; truth < classes; ++truth) {
        const std::int64_t pixels = scores.classes[static_cast<std::size_t>(truth)].truth_pixels;
        for (std::int64_t prediction = 0; prediction < classes; ++prediction) {
            const std::int64_t x = left + prediction * cell;
            const std::int64_t y = top + truth * cell;
            canvas.fill(x, y, cell, cell, truth == prediction ? black : white);  // the frame of the diagonal
            if (pixels == 0) {
                canvas.fill(x + 1, y + 1, cell - 2, cell - 2, grey);
                continue;
            }
            const double share =
                static_cast<double>(matrix.at(truth, prediction)) / static_cast<double>(pixels);
            canvas.fill(x + 1, y + 1, cell - 2, cell - 2, shade(share));
            if (matrix.at(truth, prediction) == 0) continue;
            const std::string label = share < 0.0005 ? "<0.1" : fmt::format("{:.1f}", 100 * share);
            canvas.text(x + (cell - Canvas::text_width(label, scale)) / 2,
                        y + (cell - Canvas::text_height(scale)) / 2, label, share > 0.25 ? white : black,
                        scale);
        }
    }
    return canvas;
}

void write_confusion_picture(const std::filesystem::path& path, const ConfusionMatrix& matrix,
                             const ScoreContext& context) {
    const Canvas canvas = draw_confusion(matrix, context);
    raster::write_png(path, canvas.width(), canvas.height(), 3, canvas.pixels());
}

}  // namespace terrane::report
