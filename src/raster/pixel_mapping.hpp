#pragma once

// Internal to src/raster.
#include <vector>

#include "raster/gdal_handles.hpp"

namespace terrane::raster {

/// Maps pixel coordinates of the target grid to pixel coordinates of a source grid.
///
/// Same CRS: an affine map. Otherwise PROJ is asked at the nodes of a lattice fixed to the target grid and
/// the pixels between are interpolated bilinearly; the lattice is as wide as keeps the error below 0.01
/// source pixels (checked over the whole grid). Both make the result a function of the coordinate alone.
class PixelMapping {
  public:
    PixelMapping(const Grid& target, const Grid& source);

    /// True if target pixels coincide with source pixels: source column = target column + column_offset().
    bool coincides() const { return coincides_; }
    std::int64_t column_offset() const { return column_offset_; }
    std::int64_t row_offset() const { return row_offset_; }
    /// Source pixels per target pixel along each axis of the source, at the middle of the grid.
    double source_pixels_per_column() const { return columns_per_pixel_; }
    double source_pixels_per_row() const { return rows_per_pixel_; }

    /// To be called before map() for coordinates within this window of the target.
    void prepare(const Window& window);
    /// Target pixel coordinates in, source pixel coordinates out; false where there is none.
    bool map(double x, double y, double& source_x, double& source_y) const;
    /// The source pixels that the prepared window touches; false if none. May reach outside the source.
    bool source_window(const Window& window, Window& result) const;

  private:
    void exact(std::size_t count, double* x, double* y, int* success) const;
    double lattice_error(double step) const;

    Grid target_;
    Grid source_;
    bool affine_ = true;
    bool coincides_ = false;
    std::int64_t column_offset_ = 0;
    std::int64_t row_offset_ = 0;
    double columns_per_pixel_ = 1;
    double rows_per_pixel_ = 1;
    std::array<double, 6> affine_map_{};  // same CRS: target pixel -> source pixel
    std::array<double, 6> inverse_source_{};
    TransformationHandle transformation_;
    double step_ = 1;
    // Nodes of the prepared window: source coordinates at target coordinates (first + i) * step.
    std::int64_t first_column_ = 0, first_row_ = 0, node_columns_ = 0, node_rows_ = 0;
    std::vector<double> node_x_, node_y_;
    std::vector<int> node_ok_;
};

}  // namespace terrane::raster
