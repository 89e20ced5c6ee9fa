#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace terrane::raster {

/// A rectangle of pixels of a grid. Column and row may be negative or reach past the grid where stated.
struct Window {
    std::int64_t column = 0;
    std::int64_t row = 0;
    std::int64_t width = 0;
    std::int64_t height = 0;

    std::int64_t pixels() const { return width * height; }
    bool operator==(const Window&) const = default;
    /// "512 x 512 pixels at column 1024, row 0"
    std::string text() const;
};

/// A rectangle in CRS units.
struct Bounds {
    double west = 0;
    double south = 0;
    double east = 0;
    double north = 0;

    bool operator==(const Bounds&) const = default;
    bool overlaps(const Bounds& other) const;
    /// "[635576, 848880, 637700, 853540]"
    std::string text() const;
};

/// Where the pixels of a raster are on the ground.
struct Grid {
    std::string crs;  ///< WKT2:2019, with the axis order x (easting, longitude), y (northing, latitude)
    /// x = t[0] + column * t[1] + row * t[2], y = t[3] + column * t[4] + row * t[5], with (0, 0) the outer
    /// corner of the first pixel.
    std::array<double, 6> transform{0, 1, 0, 0, 0, -1};
    std::int64_t width = 0;
    std::int64_t height = 0;

    bool operator==(const Grid&) const = default;
    bool north_up() const { return transform[2] == 0 && transform[4] == 0 && transform[5] < 0; }
    /// Envelope of the whole grid or of one window.
    Bounds bounds() const;
    Bounds bounds(const Window& window) const;
    Window whole() const { return {0, 0, width, height}; }
    /// The grid with the same origin whose pixels are `scale` times as wide; a last partial pixel counts as
    /// whole.
    Grid coarser(std::int64_t scale) const;
    /// "1062 x 2330 pixels of 2 x 2, EPSG:2994"
    std::string text() const;
};

/// Parses what GDAL understands ("EPSG:25832", WKT, PROJ strings; no file names and no URLs) into WKT2:2019.
/// Throws Error E0203 with `where` in the message if it can't.
std::string parse_crs(const std::string& text, const std::string& where);
/// True if two CRS in WKT describe the same coordinates, whatever their names.
bool same_crs(const std::string& a, const std::string& b);
/// "EPSG:25832" if the CRS has an authority code, else its name.
std::string crs_name(const std::string& crs);
/// The linear unit of a projected CRS in metres ("1" for metres); 0 for geographic CRS.
double metres_per_unit(const std::string& crs);
/// The envelope, in `to`, of a rectangle given in `from`, its edges densified. Throws Error E0203.
Bounds transform_bounds(const Bounds& bounds, const std::string& from, const std::string& to);

}  // namespace terrane::raster
