#pragma once

#include <memory>
#include <span>
#include <string>

#include "raster/grid.hpp"

namespace terrane::raster {

/// Transforms points from one CRS to another, x and y in the order easting, northing (or longitude,
/// latitude). The operation is chosen once, for `area` (in `from`), so that every call transforms alike. Safe
/// from several threads (calls take turns).
class CoordinateTransform {
  public:
    /// Throws Error E0203 (65) if PROJ knows no operation.
    CoordinateTransform(const std::string& from, const std::string& to, const Bounds& area);
    ~CoordinateTransform();
    CoordinateTransform(CoordinateTransform&&) noexcept;
    CoordinateTransform& operator=(CoordinateTransform&&) noexcept;

    /// In place. Throws Error E0203 if a point has no image.
    void apply(std::span<double> x, std::span<double> y) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace terrane::raster
