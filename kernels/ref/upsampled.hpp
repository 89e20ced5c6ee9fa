#pragma once

#include "formulas/bilinear.hpp"
#include "ref/elements.hpp"

namespace terrane::ref {

/// A map read at another resolution, pixel by pixel.
template <typename T>
class Upsampled {
  public:
    Upsampled(const TensorView& map, std::int64_t height, std::int64_t width, ops::Corners corners)
        : map_(map), shape_(map.shape()), height_(height), width_(width), corners_(corners) {}

    /// Channel c of target pixel (row, column) of sample n.
    double value(std::int64_t n, std::int64_t row, std::int64_t column, std::int64_t c) const {
        const auto rows = formulas::tap<double>(row, shape_.height(), height_, corners_);
        const auto columns = formulas::tap<double>(column, shape_.width(), width_, corners_);
        const auto at = [&](std::int64_t y, std::int64_t x) {
            return map_[((n * shape_.height() + y) * shape_.width() + x) * shape_.channels() + c];
        };
        return formulas::bilinear(rows, columns, at(rows.index0, columns.index0),
                                  at(rows.index0, columns.index1), at(rows.index1, columns.index0),
                                  at(rows.index1, columns.index1));
    }

    /// All channels of target pixel (row, column) of sample n.
    void values(std::int64_t n, std::int64_t row, std::int64_t column, double* channels) const {
        for (std::int64_t c = 0; c < shape_.channels(); ++c) channels[c] = value(n, row, column, c);
    }

  private:
    Reader<T> map_;
    Shape shape_;
    std::int64_t height_, width_;
    ops::Corners corners_;
};

/// The adjoint: calls visit(target row, target column, weight) for all targets that read source pixel
/// (row, column) of a map of the given shape, in row-major order.
template <typename Visit>
void for_each_target(const Shape& shape, std::int64_t height, std::int64_t width, ops::Corners corners,
                     std::int64_t row, std::int64_t column, Visit visit) {
    const auto rows = formulas::targets_reading(row, shape.height(), height, corners);
    const auto columns = formulas::targets_reading(column, shape.width(), width, corners);
    for (std::int64_t y = rows.begin; y < rows.end; ++y) {
        const double row_weight =
            formulas::reading_weight(formulas::tap<double>(y, shape.height(), height, corners), row);
        for (std::int64_t x = columns.begin; x < columns.end; ++x) {
            visit(y, x,
                  row_weight * formulas::reading_weight(
                                   formulas::tap<double>(x, shape.width(), width, corners), column));
        }
    }
}

}  // namespace terrane::ref
