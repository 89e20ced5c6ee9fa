#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// The tables about rasters: what `data build` makes a tile store from. One struct per TOML table, defaults included; see
/// config/config.hpp.
namespace terrane::config {

/// Common grid of all modalities of a scene. Either `reference` names a modality whose raster gives CRS,
/// resolution and extent, or `crs` and `resolution` (and optionally `extent`) define it.
struct Grid {
    std::string reference;               ///< modality name or "label"; empty: the first modality
    std::string crs;                     ///< anything GDAL understands ("EPSG:25832", WKT)
    double resolution = 0;               ///< ground sampling distance in CRS units; 0: the reference's
    std::vector<double> extent;          ///< [west, south, east, north] in CRS units; empty: the reference's
    std::int64_t tile = 256;             ///< edge of a stored tile, in reference pixels
    std::int64_t stride = 0;             ///< distance of tile origins; 0: the tile edge (no overlap)
    std::string scoring = "once";        ///< once: val and test tiles edge to edge, each pixel counts once; windows: every stride, each tile by itself
    double min_valid = 0.05;             ///< tiles with a smaller labelled fraction of pixels are not stored
};

/// One sensor product: rasters that share bands and meaning.
struct Modality {
    std::string name;
    std::vector<std::string> files;      ///< paths or globs; absolute once read (relative ones: to the config file)
    std::string scene;                   ///< regular expression whose groups, joined by _, are the scene id; empty: file stem
    std::vector<std::int64_t> bands;     ///< 1-based; empty: all
    std::string resampling = "bilinear"; ///< nearest, bilinear, cubic, average
    std::int64_t scale = 1;              ///< its pixel is `scale` reference pixels wide (kept at native resolution)
    std::optional<double> nodata;        ///< overrides the raster's own nodata value
    std::vector<double> nodata_also;     ///< further values to be masked
    std::string crs;                     ///< overrides a missing or wrong CRS
    std::string norm = "standard";       ///< standard (mean/std of training tiles), minmax, none
    double multiply = 1;                 ///< value * multiply + add, before normalisation
    double add = 0;
    std::optional<double> clip_low;      ///< values outside are clamped, after multiply/add
    std::optional<double> clip_high;
    std::optional<double> fill;          ///< what an invalid pixel stands for, after multiply, add and relative; none: the mean
    bool relative = false;               ///< subtract each tile's 2nd percentile (heights above the local low)
};

/// Where the truth is and how it is coded.
struct Label {
    std::vector<std::string> files;
    std::string scene;
    std::string encoding = "index";      ///< index (one band of class values) or palette (RGB by [[class]].color)
    std::vector<std::int64_t> ignore;    ///< raster values that are not scored and not learned
    std::string undefined = "error";     ///< a value or colour in no class: error or ignore
    std::map<std::int64_t, std::int64_t> remap;  ///< raster value -> [[class]].id, before anything else
    std::string crs;
};

/// Sparse or uncertain labels beside the truth, for weak supervision: [scribble] and [pseudo]. Their rasters are coded
/// as [label] says (encoding, ignore, undefined, remap, crs).
struct WeakLabel {
    std::vector<std::string> files;      ///< empty: none
    std::string scene;
    double lambda = 1;                   ///< of the distance map: distances in pixels times sqrt(lambda), at most 255
};

/// One class; its place in the list is its index in the network's output.
struct Class {
    std::int64_t id = 0;                 ///< the value in label rasters and in the map that predict writes
    std::string name;
    std::array<int, 3> color{0, 0, 0};
    double weight = 0;                   ///< weight in the loss; 0: automatic by loss.class_weights
    bool background = false;             ///< weak supervision: no object; at most one class
};

/// A polygon-free way to give an area: a rectangle in CRS units of the grid.
struct SplitRegion {
    std::string split;                   ///< train, val or test
    std::vector<double> bounds;          ///< [west, south, east, north]
};

struct Split {
    std::string method = "blocks";       ///< blocks, files, polygons, regions
    std::int64_t block = 4;              ///< blocks: edge of a block in tiles
    double buffer = 0;                   ///< CRS units kept free between splits
    std::array<double, 3> fractions{0.7, 0.15, 0.15};  ///< train, val, test
    std::map<std::string, std::string> files;          ///< files: regular expression on the scene id -> split
    std::string polygons;                ///< polygons: vector file with a field "split"
    std::vector<SplitRegion> regions;    ///< regions: [[split.region]]
};

}  // namespace terrane::config
