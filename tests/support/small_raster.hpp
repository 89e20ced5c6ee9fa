#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "raster/writer.hpp"

namespace terrane::test {

/// A north-up grid of square pixels.
inline raster::Grid grid_at(const std::string& crs, double west, double north, double pixel,
                            std::int64_t width, std::int64_t height) {
    return {crs.empty() ? crs : raster::parse_crs(crs, "test"),
            {west, pixel, 0, north, 0, -pixel},
            width,
            height};
}

/// Writes a raster whose pixels are value(column, row, band).
template <typename T>
void write_raster(const std::filesystem::path& path, const raster::Grid& grid, std::int64_t bands,
                  const std::function<T(std::int64_t, std::int64_t, std::int64_t)>& value,
                  std::optional<double> nodata = {}) {
    std::vector<T> pixels(static_cast<std::size_t>(grid.width * grid.height * bands));
    std::size_t at = 0;
    for (std::int64_t row = 0; row < grid.height; ++row) {
        for (std::int64_t column = 0; column < grid.width; ++column) {
            for (std::int64_t band = 0; band < bands; ++band) pixels[at++] = value(column, row, band);
        }
    }
    raster::RasterFormat format;
    format.dtype = dtype_of<T>;
    format.bands = bands;
    format.nodata = nodata;
    format.layout = raster::RasterLayout::tiled;
    raster::RasterWriter writer(path, grid, format);
    writer.write(grid.whole(), std::as_bytes(std::span(pixels)));
    writer.finish();
}

/// Runs `action` and returns the Error it throws; fails the test if it throws none.
inline Error error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    throw std::logic_error("no Error was thrown");
}

}  // namespace terrane::test
