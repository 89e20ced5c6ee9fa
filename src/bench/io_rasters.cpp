// Reading windows of rasters, writing maps.
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "bench/io.hpp"
#include "bench/rank_speed.hpp"
#include "raster/aligned_scene.hpp"
#include "raster/mosaic.hpp"

namespace terrane::bench {

namespace {

namespace fs = std::filesystem;

/// As much as prediction gives GDAL at least.
constexpr std::size_t raster_cache = std::size_t{32} << 20;
/// About the edge of the pieces that data build and predict read.
constexpr std::int64_t about_window = 512;

/// Reads a modality window by window, from a place that depends on the rank, round and round.
class WindowLoop {
  public:
    WindowLoop(raster::AlignedScene& scene, std::size_t modality, std::int64_t edge, int rank, int ranks)
        : scene_(scene), modality_(modality), edge_(edge) {
        const raster::Grid& grid = scene.grid();
        columns_ = (grid.width + edge - 1) / edge;
        windows_ = columns_ * ((grid.height + edge - 1) / edge);
        next_ = windows_ * rank / ranks;
        const std::int64_t own = edge / scene.scale(modality);
        pixels_ = static_cast<double>(own * own);
        const raster::AlignedReader& reader = scene.modality(modality);
        mask_.resize(static_cast<std::size_t>(own * own));
        values_.resize(mask_.size() * static_cast<std::size_t>(reader.bands()) * size_of(reader.dtype()));
    }
    std::int64_t windows() const { return windows_; }
    double bytes_per_pixel() const { return static_cast<double>(values_.size()) / pixels_; }
    /// Reads the next window; returns its pixels of the modality.
    double read() {
        const std::int64_t at = next_++ % windows_;
        const raster::Window window{at % columns_ * edge_, at / columns_ * edge_, edge_, edge_};
        scene_.read(modality_, window, values_, mask_);
        return pixels_;
    }

  private:
    raster::AlignedScene& scene_;
    std::size_t modality_;
    std::int64_t edge_;
    std::int64_t columns_ = 0, windows_ = 0, next_ = 0;
    double pixels_ = 0;
    std::vector<std::byte> values_;
    std::vector<std::uint8_t> mask_;
};

raster::RasterFormat map_format(const config::Config& config, raster::RasterLayout layout) {
    raster::ClassLegend legend;
    for (const config::Class& entry : config.classes) {
        if (entry.id >= 0 && entry.id < 255)
            legend.entries.push_back({static_cast<int>(entry.id), entry.name, entry.color});
    }
    raster::RasterFormat format = raster::class_map_format(std::move(legend));
    format.layout = layout;
    if (layout == raster::RasterLayout::part) format.legend.reset();
    return format;
}

/// Rows of a map with regions about as large as those of a real one: compression depends on it.
void fill_rows(std::int64_t first_row, std::int64_t rows, std::int64_t width,
               std::vector<std::uint8_t>& classes) {
    classes.resize(static_cast<std::size_t>(rows * width));
    std::size_t at = 0;
    for (std::int64_t row = first_row; row < first_row + rows; ++row) {
        for (std::int64_t column = 0; column < width; ++column, ++at) {
            const std::int64_t region = (row + column / 7) / 29 * 31 + (column + row / 5) / 37 * 17;
            classes[at] = static_cast<std::uint8_t>((region ^ (region >> 3)) % 7);
        }
    }
}

}  // namespace

std::vector<RasterReading> measure_raster_reading(const config::Config& config,
                                                  const raster::SceneFiles& files, const IoOptions& options,
                                                  comm::Communicator& communicator) {
    raster::limit_raster_cache(raster_cache);
    std::int64_t step = 1;
    for (const config::Modality& modality : config.modalities) step = std::lcm(step, modality.scale);
    const std::int64_t edge = (about_window + step - 1) / step * step;
    std::vector<RasterReading> results;
    for (std::size_t m = 0; m < config.modalities.size(); ++m) {
        // Opened anew for every part: GDAL's own cache is empty then, the system's holds the files.
        const auto part = [&](double seconds) {
            raster::AlignedScene scene(config, files, raster::LabelUse::ignored);
            WindowLoop loop(scene, m, edge, communicator.rank(), communicator.size());
            const auto begin = std::chrono::steady_clock::now();
            double pixels = 0;
            for (std::int64_t i = 0; i < loop.windows(); ++i) {
                pixels += loop.read();
                const auto now = std::chrono::steady_clock::now();
                if (std::chrono::duration<double>(now - begin).count() > seconds) break;
            }
            return std::pair(pixels, loop.bytes_per_pixel());
        };
        const double seconds = options.seconds / options.repetitions;
        const double bytes_per_pixel = part(seconds).second;
        RasterReading reading;
        reading.modality = config.modalities[m].name;
        reading.scale = config.modalities[m].scale;
        reading.window = edge;
        SpeedOfRanks speed(communicator);
        speed.repeat(options.repetitions, [&] { return part(seconds).first; });
        reading.pixels_per_second = speed.result();
        reading.bytes_per_second = {reading.pixels_per_second.least * bytes_per_pixel,
                                    reading.pixels_per_second.median * bytes_per_pixel,
                                    reading.pixels_per_second.sum * bytes_per_pixel};
        results.push_back(std::move(reading));
    }
    return results;
}

MapWriting measure_map_writing(const config::Config& config, const fs::path& folder, const IoOptions& options,
                               comm::Communicator& communicator) {
    MapWriting result;
    const std::int64_t edge = options.map_edge;
    result.edge = edge;
    const raster::Grid grid{
        raster::parse_crs("EPSG:25832", "bench io"), {500000, 0.5, 0, 5800000, 0, -0.5}, edge, edge};
    const int ranks = communicator.size(), rank = communicator.rank();
    // Equal shares of rows, in whole rows of file tiles.
    const auto first_row_of = [&](int r) {
        const std::int64_t strips = (edge + raster::part_block_rows - 1) / raster::part_block_rows;
        return std::min(edge, strips * r / ranks * raster::part_block_rows);
    };
    const auto part_file = [&](int r) { return folder / fmt::format("part-{}.tif", r); };
    SpeedOfRanks writing(communicator);
    const double all = seconds_of([&] {
        writing.repeat(1, [&] {
            raster::Grid own = grid;
            own.height = first_row_of(rank + 1) - first_row_of(rank);
            if (own.height == 0) return 0.0;
            raster::RasterWriter writer(part_file(rank), own, map_format(config, raster::RasterLayout::part));
            std::vector<std::uint8_t> classes;
            for (std::int64_t row = 0; row < own.height; row += raster::part_block_rows) {
                const std::int64_t rows = std::min<std::int64_t>(raster::part_block_rows, own.height - row);
                fill_rows(first_row_of(rank) + row, rows, edge, classes);
                writer.write({0, row, edge, rows}, std::as_bytes(std::span(classes)));
            }
            writer.finish();
            return static_cast<double>(own.height * edge);
        });
        communicator.barrier();
        if (rank == 0) {
            const double assembling = seconds_of([&] {
                std::vector<raster::MosaicPart> parts;
                for (int r = 0; r < ranks; ++r) {
                    const std::int64_t rows = first_row_of(r + 1) - first_row_of(r);
                    if (rows > 0) parts.push_back({part_file(r), {0, first_row_of(r), edge, rows}});
                }
                raster::RasterMosaic mosaic(folder / "map.tif", grid,
                                            map_format(config, raster::RasterLayout::cloud_optimized), parts,
                                            folder / "whole.tif");
                mosaic.publish();
            });
            result.assembling_pixels_per_second = static_cast<double>(edge * edge) / assembling;
        }
        communicator.barrier();
    });
    result.part_pixels_per_second = writing.result();
    result.pixels_per_second = static_cast<double>(edge * edge) / all;
    std::error_code ignored;
    fs::remove(part_file(rank), ignored);
    if (rank == 0) {
        for (const char* name : {"map.tif", "map.tif.aux.xml"}) fs::remove(folder / name, ignored);
    }
    communicator.barrier();
    return result;
}

}  // namespace terrane::bench
