#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "raster/grid.hpp"
#include "tensor/dtype.hpp"

namespace terrane::raster {

struct BandInfo {
    std::string name;            ///< the band's description; may be empty
    std::string interpretation;  ///< "Red", "Gray", "Palette", "Alpha" ...
    std::string type;            ///< GDAL's name of the element type: "Byte", "Float64" ...
    std::optional<double> nodata;
    bool alpha = false;
};

/// What a raster file says about itself.
struct RasterInfo {
    std::filesystem::path file;
    std::string driver;  ///< "GTiff"
    Grid grid;           ///< crs is empty if the file has none
    bool has_transform = false;
    DType dtype = DType::u8;  ///< as the program stores it: float64 becomes float32
    std::vector<BandInfo> bands;
    std::int64_t block_width = 0;
    std::int64_t block_height = 0;
    bool dataset_mask = false;                ///< a mask or alpha band says which pixels are valid
    std::vector<std::array<int, 4>> palette;  ///< RGBA per value; empty if none
    std::vector<std::string> category_names;
    int overviews = 0;
    std::string compression;  ///< "DEFLATE"; empty: none
};

/// Values of one band, of at most about a million pixels taken evenly over the raster.
struct BandStatistics {
    std::int64_t sampled = 0;
    std::int64_t nodata = 0;
    std::int64_t non_finite = 0;
    double minimum = 0;
    double maximum = 0;
    double mean = 0;
    double standard_deviation = 0;
};

/// Opens and describes a raster. Errors: E0201 missing file (66), E0202 not a raster GDAL can open, or one
/// whose size, blocks, band count or element type are beyond what is accepted (65).
RasterInfo describe(const std::filesystem::path& file);

/// Statistics of every band. Throws Error E0205 if the pixels can't be read.
std::vector<BandStatistics> sample_statistics(const std::filesystem::path& file);

/// Size and time of a file and a hash of its first and last 64 KiB: tells whether a source has changed
/// without reading it whole. Throws Error E0201.
struct FileFingerprint {
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;  ///< since 1970
    std::string hash;              ///< SHA-256, hexadecimal
    bool operator==(const FileFingerprint&) const = default;
};
FileFingerprint fingerprint(const std::filesystem::path& file);

}  // namespace terrane::raster
