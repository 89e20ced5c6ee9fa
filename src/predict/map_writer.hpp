#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "predict/blending.hpp"
#include "predict/window_feeder.hpp"
#include "raster/mosaic.hpp"

namespace terrane::predict {

/// A class as the map shows it.
struct MapClass {
    int id = 0;  ///< 0..254: the value in the map
    std::string name;
    std::array<int, 3> color{0, 0, 0};
};

/// Which files a prediction writes.
///
///   map        uint8, the class id of the largest probability (the first of equals); 255 where no modality
///   has a
///              value; palette and category names
///   confidence uint8, the largest probability in percent, rounded; 255 as above
///   scores     float32, one band per class: its blended probability; NaN as above
///   quicklook  RGB picture of the map, from its overviews
struct MapProducts {
    std::filesystem::path map;        ///< "folder/name.tif"
    bool confidence = false;          ///< folder/name.confidence.tif
    bool scores = false;              ///< folder/name.scores.tif
    std::int64_t quicklook_edge = 0;  ///< longer edge of folder/name.png; 0: none
    std::vector<MapClass> classes;    ///< in the order of the network's output

    std::filesystem::path confidence_path() const;
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

/// A folder for what the ranks write before it is put together, removed with everything in it at the end.
class PartsFolder {
  public:
    /// `owner` is the process_tag of the first rank. Creating the folder is every rank's right. Folders that
    /// killed processes of this host left for the same map are removed.
    PartsFolder(const std::filesystem::path& map, const std::string& owner);
    ~PartsFolder();
    PartsFolder(const PartsFolder&) = delete;
    PartsFolder& operator=(const PartsFolder&) = delete;

    /// The part of a product ("map", "confidence", "scores") that block `index` makes.
    std::filesystem::path part(const std::string& product, std::size_t index) const;

    const std::filesystem::path& path() const { return path_; }
    /// Where a whole product is built before it gets its name.
    std::filesystem::path whole(const std::string& product) const;

  private:
    std::filesystem::path path_;
};

/// Turns the blended rows of one block into its parts of the products.
class BlockWriter {
  public:
    BlockWriter(const MapProducts& products, const raster::Grid& scene, const Block& block, std::size_t index,
                const PartsFolder& folder);

    void add(const BlendedRow& row);
    void finish();

  private:
    void write_rows();

    const MapProducts& products_;
    Block block_;
    std::int64_t rows_held_ = 0;
    std::int64_t rows_written_ = 0;
    std::vector<std::uint8_t> classes_, confidence_;
    std::vector<float> scores_;
    std::optional<raster::RasterWriter> map_writer_, confidence_writer_, scores_writer_;
};

/// Puts the parts of all blocks together and publishes the products, the map last. For one rank; `working` is
/// called many times meanwhile and must not throw.
void assemble_products(const MapProducts& products, const raster::Grid& scene,
                       const std::vector<Block>& blocks, const PartsFolder& folder,
                       const std::function<void()>& working = {});

}  // namespace terrane::predict
