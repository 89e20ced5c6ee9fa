#include "raster/pixel_mapping.hpp"

#include <algorithm>
#include <cmath>

namespace terrane::raster {

namespace {

// Grids that differ by less than this over their whole size count as coinciding: far below what any
// registration achieves, far above the rounding of stored origins.
constexpr double coincidence = 1e-3;
constexpr double lattice_tolerance = 0.01;

std::array<double, 6> inverse(const std::array<double, 6>& t) {
    std::array<double, 6> copy = t;
    std::array<double, 6> result{};
    TERRANE_ASSERT(GDALInvGeoTransform(copy.data(), result.data()) != 0, "a geotransform has no inverse");
    return result;
}

double snapped(double value, double to) {
    return std::abs(value - to) < 1e-9 * std::max(1.0, std::abs(to)) ? to : value;
}

}  // namespace

PixelMapping::PixelMapping(const Grid& target, const Grid& source) : target_(target), source_(source) {
    const auto& s = source.transform;
    const auto& t = target.transform;
    inverse_source_ = inverse(s);
    affine_ = same_crs(target.crs, source.crs);
    const double middle_x = static_cast<double>(target.width) / 2;
    const double middle_y = static_cast<double>(target.height) / 2;
    if (affine_) {
        // The origins' difference is taken first: eastings of 1e6 would cost the digits that decide on ties.
        const double origin_x = t[0] - s[0];
        const double origin_y = t[3] - s[3];
        const auto& inv = inverse_source_;
        affine_map_ = {inv[1] * origin_x + inv[2] * origin_y, inv[1] * t[1] + inv[2] * t[4],
                       inv[1] * t[2] + inv[2] * t[5],         inv[4] * origin_x + inv[5] * origin_y,
                       inv[4] * t[1] + inv[5] * t[4],         inv[4] * t[2] + inv[5] * t[5]};
        for (double& coefficient : affine_map_) coefficient = snapped(coefficient, std::round(coefficient));
        const auto& m = affine_map_;
        const double edge = static_cast<double>(std::max(target.width, target.height));
        const double drift =
            edge * (std::abs(m[1] - 1) + std::abs(m[2]) + std::abs(m[4]) + std::abs(m[5] - 1));
        const double offset = std::max(std::abs(m[0] - std::round(m[0])), std::abs(m[3] - std::round(m[3])));
        coincides_ = drift + offset < coincidence;
        if (coincides_) {
            column_offset_ = std::llround(m[0]);
            row_offset_ = std::llround(m[3]);
        }
        columns_per_pixel_ = std::hypot(m[1], m[2]);
        rows_per_pixel_ = std::hypot(m[4], m[5]);
        return;
    }
    const Bounds area = target.bounds();
    transformation_ = make_transformation(target.crs, source.crs, &area);
    step_ = 64;
    while (step_ > 1 && !(lattice_error(step_) < lattice_tolerance)) step_ /= 2;
    // Spacing at the middle, or at the first place that can be transformed.
    for (const double place : {0.5, 0.25, 0.75, 0.05, 0.95}) {
        std::array<double, 3> x{middle_x * 2 * place, middle_x * 2 * place + 1, middle_x * 2 * place};
        std::array<double, 3> y{middle_y * 2 * place, middle_y * 2 * place, middle_y * 2 * place + 1};
        std::array<int, 3> ok{};
        exact(3, x.data(), y.data(), ok.data());
        if (ok[0] == 0 || ok[1] == 0 || ok[2] == 0) continue;
        columns_per_pixel_ = std::hypot(x[1] - x[0], x[2] - x[0]);
        rows_per_pixel_ = std::hypot(y[1] - y[0], y[2] - y[0]);
        break;
    }
}

void PixelMapping::exact(std::size_t count, double* x, double* y, int* success) const {
    const auto& t = target_.transform;
    for (std::size_t i = 0; i < count; ++i) {
        const double column = x[i];
        x[i] = t[0] + column * t[1] + y[i] * t[2];
        y[i] = t[3] + column * t[4] + y[i] * t[5];
    }
    CPLErrorReset();
    OCTTransformEx(transformation_.get(), static_cast<int>(count), x, y, nullptr, success);
    const auto& inv = inverse_source_;
    for (std::size_t i = 0; i < count; ++i) {
        if (success[i] == 0 || !std::isfinite(x[i]) || !std::isfinite(y[i])) {
            success[i] = 0;
            continue;
        }
        const double east = x[i];
        x[i] = inv[0] + east * inv[1] + y[i] * inv[2];
        y[i] = inv[3] + east * inv[4] + y[i] * inv[5];
        if (std::abs(x[i]) > 1e9 || std::abs(y[i]) > 1e9) success[i] = 0;
    }
}

double PixelMapping::lattice_error(double step) const {
    double worst = 0;
    constexpr int places = 7;
    for (int i = 0; i < places; ++i) {
        for (int j = 0; j < places; ++j) {
            const double left =
                std::floor(static_cast<double>(target_.width) * i / (places - 1) / step) * step;
            const double top =
                std::floor(static_cast<double>(target_.height) * j / (places - 1) / step) * step;
            // The middles of two edges and of the cell: for a conformal mapping the errors along x and y
            // cancel in the middle of a cell.
            const double right = left + step, bottom = top + step, half = step / 2;
            std::array<double, 7> x{left, right, left, right, left + half, left, left + half};
            std::array<double, 7> y{top, top, bottom, bottom, top, top + half, top + half};
            std::array<int, 7> ok{};
            exact(ok.size(), x.data(), y.data(), ok.data());
            if (std::find(ok.begin(), ok.end(), 0) != ok.end()) continue;
            for (const auto* v : {&x, &y}) {
                const auto& n = *v;
                worst =
                    std::max({worst, std::abs((n[0] + n[1]) / 2 - n[4]), std::abs((n[0] + n[2]) / 2 - n[5]),
                              std::abs((n[0] + n[1] + n[2] + n[3]) / 4 - n[6])});
            }
        }
    }
    return worst;
}

void PixelMapping::prepare(const Window& window) {
    if (affine_) return;
    const auto node_before = [&](std::int64_t pixel) {
        return static_cast<std::int64_t>(std::floor(static_cast<double>(pixel) / step_));
    };
    first_column_ = node_before(window.column);
    first_row_ = node_before(window.row);
    node_columns_ = node_before(window.column + window.width) + 2 - first_column_;
    node_rows_ = node_before(window.row + window.height) + 2 - first_row_;
    const auto count = static_cast<std::size_t>(node_columns_ * node_rows_);
    node_x_.resize(count);
    node_y_.resize(count);
    node_ok_.assign(count, 0);
    for (std::size_t i = 0; i < count; ++i) {
        node_x_[i] =
            static_cast<double>(first_column_ + static_cast<std::int64_t>(i) % node_columns_) * step_;
        node_y_[i] = static_cast<double>(first_row_ + static_cast<std::int64_t>(i) / node_columns_) * step_;
    }
    exact(count, node_x_.data(), node_y_.data(), node_ok_.data());
}

bool PixelMapping::map(double x, double y, double& source_x, double& source_y) const {
    if (affine_) {
        const auto& m = affine_map_;
        source_x = m[0] + x * m[1] + y * m[2];
        source_y = m[3] + x * m[4] + y * m[5];
        return true;
    }
    const double u = x / step_;
    const double v = y / step_;
    const auto column = static_cast<std::int64_t>(std::floor(u));
    const auto row = static_cast<std::int64_t>(std::floor(v));
    const std::int64_t i = column - first_column_;
    const std::int64_t j = row - first_row_;
    if (i < 0 || j < 0 || i + 1 >= node_columns_ || j + 1 >= node_rows_) return false;
    const auto at = static_cast<std::size_t>(j * node_columns_ + i);
    const std::size_t below = at + static_cast<std::size_t>(node_columns_);
    if (node_ok_[at] * node_ok_[at + 1] * node_ok_[below] * node_ok_[below + 1] == 0) return false;
    const double a = u - static_cast<double>(column);
    const double b = v - static_cast<double>(row);
    const auto blend = [&](const std::vector<double>& n) {
        return (n[at] * (1 - a) + n[at + 1] * a) * (1 - b) + (n[below] * (1 - a) + n[below + 1] * a) * b;
    };
    source_x = blend(node_x_);
    source_y = blend(node_y_);
    return true;
}

bool PixelMapping::source_window(const Window& window, Window& result) const {
    double west = INFINITY, east = -INFINITY, north = INFINITY, south = -INFINITY;
    const auto visit = [&](std::int64_t column, std::int64_t row) {
        double x = 0, y = 0;
        if (!map(static_cast<double>(column), static_cast<double>(row), x, y)) return;
        west = std::min(west, x);
        east = std::max(east, x);
        north = std::min(north, y);
        south = std::max(south, y);
    };
    // Piecewise bilinear: the extremes are on the edges or at lattice nodes, which 16-pixel steps visit or
    // pass closely enough for the margin that the reader adds.
    for (std::int64_t row = 0; row <= window.height; ++row) {
        const bool edge_row = row == 0 || row == window.height;
        const std::int64_t step =
            edge_row || affine_ ? (affine_ ? window.width : 1) : (row % 16 == 0 ? 16 : window.width);
        for (std::int64_t column = 0; column <= window.width; column += step)
            visit(window.column + column, window.row + row);
        visit(window.column + window.width, window.row + row);
    }
    if (!(west <= east) || !(north <= south)) return false;
    result.column = static_cast<std::int64_t>(std::floor(west));
    result.row = static_cast<std::int64_t>(std::floor(north));
    result.width = static_cast<std::int64_t>(std::ceil(east)) - result.column;
    result.height = static_cast<std::int64_t>(std::ceil(south)) - result.row;
    return true;
}

}  // namespace terrane::raster
