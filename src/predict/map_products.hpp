#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "raster/writer.hpp"

namespace terrane::predict {

/// A class as the map shows it.
struct MapClass {
    int id = 0;  ///< 0..254: the value in the map
    std::string name;
    std::array<int, 3> color{0, 0, 0};
};

/// A raster that a prediction can write beside the quicklook; `name` is what its file and its parts are
/// called by.
struct Product {
    enum class Kind { map, confidence, entropy, scores };
    Kind kind = Kind::map;
    std::string name;
    std::filesystem::path path;
    raster::RasterFormat format;
};

/// Which files a prediction writes.
///
///   map        uint8, the class id of the largest probability (the first of equals); 255 where no modality
///              has a value; palette and category names; regions of fewer pixels than `smallest_region` have
///              been given to their largest neighbour
///   confidence uint8, the largest probability in percent, rounded; 255 as above
///   entropy    uint8, -sum p ln p of the probabilities in percent of its largest possible value ln(classes),
///              rounded; 255 as above
///   scores     float32, one band per class: its blended probability; NaN as above
///   quicklook  RGB picture of the map, from its overviews
struct MapProducts {
    std::filesystem::path map;         ///< "folder/name.tif"
    bool confidence = false;           ///< folder/name.confidence.tif
    bool entropy = false;              ///< folder/name.entropy.tif
    bool scores = false;               ///< folder/name.scores.tif
    std::int64_t quicklook_edge = 0;   ///< longer edge of folder/name.png; 0: none
    std::int64_t smallest_region = 0;  ///< of the map, in pixels; 0 and 1: regions stay as they are
    std::vector<MapClass> classes;     ///< in the order of the network's output

    /// The rasters, the map first.
    std::vector<Product> rasters() const;
    std::filesystem::path confidence_path() const;
    std::filesystem::path entropy_path() const;
    std::filesystem::path scores_path() const;
    std::filesystem::path quicklook_path() const;
    /// All files that will be written.
    std::vector<std::filesystem::path> files() const;
    /// Bytes per pixel and row that a BlockWriter holds back, times the rows it holds.
    std::size_t row_bytes() const;

    /// Before any work: throws Error E0910 (73) if a file exists and may not be replaced, if the folder does
    /// not exist, or if the name does not end in .tif.
    enum class Existing { refuse, replace };
    void check(Existing existing) const;
};

/// What rasters of bytes hold where no modality has a value.
inline constexpr std::uint8_t map_nodata = 255;

}  // namespace terrane::predict
