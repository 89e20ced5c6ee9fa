#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raster/grid.hpp"

namespace terrane::raster {

/// A union of polygons on the ground.
class Area {
  public:
    Area();
    ~Area();
    Area(Area&&) noexcept;
    Area& operator=(Area&&) noexcept;

    void add(const Bounds& rectangle);
    /// True if the whole rectangle lies inside.
    bool contains(const Bounds& rectangle) const;
    /// Smallest distance to the rectangle in CRS units; 0 if they touch or overlap; infinite if the area is
    /// empty.
    double distance(const Bounds& rectangle) const;
    /// Envelopes of the separate polygons of the union.
    std::vector<Bounds> parts() const;
    /// Size of the common part, in square CRS units.
    double common_with(const Area& other) const;

  private:
    friend std::map<std::string, Area> read_areas(const std::filesystem::path&, const std::string&,
                                                  const std::string&);
    struct Geometry;
    std::unique_ptr<Geometry> geometry_;
};

/// The polygons of a vector file (any OGR format), grouped by the text of `field` and moved to `crs`. Throws
/// Error E0201 (missing), E0306 (not readable, no polygons, no such field, too many features) or E0203 (CRS).
std::map<std::string, Area> read_areas(const std::filesystem::path& file, const std::string& field,
                                       const std::string& crs);

}  // namespace terrane::raster
