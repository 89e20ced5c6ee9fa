#include "raster/grid.hpp"

#include <algorithm>
#include <cmath>

#include "raster/gdal_handles.hpp"

namespace terrane::raster {

std::string Window::text() const {
    return fmt::format("{} x {} pixels at column {}, row {}", width, height, column, row);
}

bool Bounds::overlaps(const Bounds& other) const {
    return west < other.east && other.west < east && south < other.north && other.south < north;
}

std::string Bounds::text() const {
    return fmt::format("[{:.10g}, {:.10g}, {:.10g}, {:.10g}]", west, south, east, north);
}

Bounds Grid::bounds() const {
    return bounds(whole());
}

Bounds Grid::bounds(const Window& window) const {
    Bounds result{INFINITY, INFINITY, -INFINITY, -INFINITY};
    for (const std::int64_t column : {window.column, window.column + window.width}) {
        for (const std::int64_t row : {window.row, window.row + window.height}) {
            const auto c = static_cast<double>(column);
            const auto r = static_cast<double>(row);
            const double x = transform[0] + c * transform[1] + r * transform[2];
            const double y = transform[3] + c * transform[4] + r * transform[5];
            result = {std::min(result.west, x), std::min(result.south, y), std::max(result.east, x),
                      std::max(result.north, y)};
        }
    }
    return result;
}

Grid Grid::coarser(std::int64_t scale) const {
    TERRANE_ASSERT(scale >= 1, "a scale of {}", scale);
    Grid result = *this;
    for (const std::size_t i : {1, 2, 4, 5}) result.transform[i] *= static_cast<double>(scale);
    result.width = (width + scale - 1) / scale;
    result.height = (height + scale - 1) / scale;
    return result;
}

std::string Grid::text() const {
    return fmt::format("{} x {} pixels of {:.10g} x {:.10g}, {}", width, height,
                       std::hypot(transform[1], transform[4]), std::hypot(transform[2], transform[5]),
                       crs.empty() ? "no CRS" : crs_name(crs));
}

std::string parse_crs(const std::string& text, const std::string& where) {
    const ReferenceHandle reference = make_reference(text, where);
    OptionList options;
    options.set("FORMAT", "WKT2_2019");
    char* wkt = nullptr;
    CPLErrorReset();
    const OGRErr failed = OSRExportToWktEx(reference.get(), &wkt, options.get());
    const std::string result = wkt != nullptr ? wkt : "";
    CPLFree(wkt);
    if (failed != OGRERR_NONE || result.empty()) {
        throw Error(ExitCode::data_invalid, 203,
                    fmt::format("{}: the CRS can't be written as WKT: {}.", where, gdal_message()));
    }
    return result;
}

bool same_crs(const std::string& a, const std::string& b) {
    if (a == b) return true;
    if (a.empty() || b.empty()) return false;
    const ReferenceHandle first = make_reference(a, "CRS");
    const ReferenceHandle second = make_reference(b, "CRS");
    OptionList options;
    options.set("IGNORE_DATA_AXIS_TO_SRS_AXIS_MAPPING", "YES");
    options.set("CRITERION", "EQUIVALENT_EXCEPT_AXIS_ORDER_GEOGCRS");
    return OSRIsSameEx(first.get(), second.get(), options.get()) != 0;
}

std::string crs_name(const std::string& crs) {
    const ReferenceHandle reference = make_reference(crs, "CRS");
    const char* authority = OSRGetAuthorityName(reference.get(), nullptr);
    const char* code = OSRGetAuthorityCode(reference.get(), nullptr);
    if (authority != nullptr && code != nullptr) return fmt::format("{}:{}", authority, code);
    const char* name = OSRGetName(reference.get());
    return name != nullptr && name[0] != '\0' ? name : "unnamed CRS";
}

double metres_per_unit(const std::string& crs) {
    const ReferenceHandle reference = make_reference(crs, "CRS");
    return OSRIsProjected(reference.get()) != 0 ? OSRGetLinearUnits(reference.get(), nullptr) : 0.0;
}

Bounds transform_bounds(const Bounds& bounds, const std::string& from, const std::string& to) {
    if (same_crs(from, to)) return bounds;
    const TransformationHandle transformation = make_transformation(from, to, nullptr);
    Bounds result;
    CPLErrorReset();
    if (OCTTransformBounds(transformation.get(), bounds.west, bounds.south, bounds.east, bounds.north,
                           &result.west, &result.south, &result.east, &result.north, 21) == 0 ||
        !std::isfinite(result.west) || !std::isfinite(result.east) || !std::isfinite(result.south) ||
        !std::isfinite(result.north)) {
        throw Error(ExitCode::data_invalid, 203,
                    fmt::format("the rectangle {} of {} can't be expressed in {}: {}.", bounds.text(),
                                crs_name(from), crs_name(to), gdal_message()));
    }
    return result;
}

}  // namespace terrane::raster
