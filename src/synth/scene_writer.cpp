#include "synth/scene_writer.hpp"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "raster/coordinate_transform.hpp"
#include "raster/writer.hpp"
#include "synth/placement.hpp"
#include "synth/sensors.hpp"
#include "synth/weak_labels.hpp"

namespace terrane::synth {

namespace {

constexpr std::int64_t block_columns = 512;
/// Pixels between exactly transformed points of the height raster; between them bilinear interpolation errs
/// by less than 0.01 mm, since the scale of a UTM zone varies by 1e-8 per metre.
constexpr std::int64_t lattice_step = 64;

/// Renders the blocks of one stripe on all threads. An exception of a block is thrown again here.
template <typename Render>
void for_each_block(std::int64_t columns, std::int64_t row, std::int64_t rows, const Render& render) {
    const std::int64_t blocks = (columns + block_columns - 1) / block_columns;
    std::exception_ptr failure;
    std::mutex mutex;
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t block = 0; block < blocks; ++block) {
        try {
            const std::int64_t column = block * block_columns;
            render(PixelWindow{column, row, std::min(block_columns, columns - column), rows});
        } catch (...) {
            const std::scoped_lock lock(mutex);
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

/// One raster on its way to disk: stripes of whole rows, filled block by block.
template <typename Value>
class StripeFile {
  public:
    StripeFile(const std::filesystem::path& path, const raster::Grid& grid, raster::RasterFormat format)
        : columns_(grid.width), bands_(format.bands), writer_(path, grid, std::move(format)) {}

    void start(std::int64_t row, std::int64_t rows) {
        row_ = row;
        rows_ = rows;
        values_.resize(static_cast<std::size_t>(columns_ * rows * bands_));
    }
    /// Puts the values of a window of the current stripe in place. Safe from several threads for disjoint
    /// windows.
    void put(const PixelWindow& window, std::span<const Value> values) {
        const auto length = static_cast<std::size_t>(window.columns * bands_);
        for (std::int64_t row = 0; row < window.rows; ++row) {
            Value* target = values_.data() + ((window.row - row_ + row) * columns_ + window.column) * bands_;
            std::memcpy(target, values.data() + static_cast<std::size_t>(row) * length,
                        length * sizeof(Value));
        }
    }
    void write() { writer_.write({0, row_, columns_, rows_}, std::as_bytes(std::span(values_))); }
    void finish() { writer_.finish(); }
    std::span<const Value> values() const { return values_; }

  private:
    std::int64_t columns_;
    std::int64_t bands_;
    std::int64_t row_ = 0;
    std::int64_t rows_ = 0;
    std::vector<Value> values_;
    raster::RasterWriter writer_;
};

class SceneWriter {
  public:
    SceneWriter(std::filesystem::path folder, const SceneOptions& options, const SceneProgress& progress)
        : folder_(std::move(folder)),
          options_(options),
          progress_(progress),
          landscape_(options.seed),
          placement_(placement_of(options.seed)) {}

    SceneSummary write() {
        write_optical_and_labels();
        write_height();
        write_sar();
        if (options_.weak_labels == WeakLabels::yes) {
            write_classes("scribbles.tif", render_scribbles);
            write_classes("pseudo_labels.tif", render_pseudo_labels);
            write_file_atomically(folder_ / "weak.toml", weak_configuration());
        }
        write_file_atomically(folder_ / "scene.toml", scene_configuration(options_));
        return summary_;
    }

  private:
    void report(std::string_view file, std::int64_t done, std::int64_t all) const {
        if (progress_) progress_(file, static_cast<double>(done) / static_cast<double>(all));
    }
    std::int64_t stripe(std::int64_t row, std::int64_t rows) const {
        return std::min(options_.stripe_rows, rows - row);
    }

    void write_optical_and_labels();
    void write_height();
    void write_sar();
    using RenderClasses = void (*)(const Landscape&, const PixelGrid&, const PixelWindow&,
                                   std::span<std::uint8_t>);
    void write_classes(const char* name, RenderClasses render);
    void count(std::span<const std::uint8_t> labels);

    std::filesystem::path folder_;
    SceneOptions options_;
    const SceneProgress& progress_;
    Landscape landscape_;
    Placement placement_;
    SceneSummary summary_;
};

void SceneWriter::count(std::span<const std::uint8_t> labels) {
    for (const std::uint8_t label : labels) {
        if (label == label_nodata) {
            ++summary_.unlabelled;
        } else {
            ++summary_.pixels[label];
        }
    }
    summary_.optical_pixels += static_cast<std::int64_t>(labels.size());
}

raster::ClassLegend legend() {
    raster::ClassLegend result;
    for (std::size_t k = 0; k < land_cover_count; ++k) {
        const LandCoverInfo& cover = info(static_cast<LandCover>(k));
        result.entries.push_back(
            {static_cast<int>(k), std::string(cover.name), {cover.color[0], cover.color[1], cover.color[2]}});
    }
    return result;
}

void SceneWriter::write_optical_and_labels() {
    const PixelGrid grid = optical_grid(options_.size);
    const raster::Grid place = georeferenced(grid, placement_);
    raster::RasterFormat photo;
    photo.bands = 4;
    photo.nodata = optical_nodata;
    photo.band_names = {"red", "green", "blue", "near infrared"};
    photo.layout = raster::RasterLayout::tiled;
    raster::RasterFormat index = raster::class_map_format(legend());
    index.layout = raster::RasterLayout::tiled;
    raster::RasterFormat rgb;
    rgb.bands = 3;
    rgb.band_names = {"red", "green", "blue"};
    rgb.layout = raster::RasterLayout::tiled;

    StripeFile<std::uint8_t> optical(folder_ / "optical.tif", place, photo);
    StripeFile<std::uint8_t> labels(folder_ / "labels.tif", place, index);
    std::unique_ptr<StripeFile<std::uint8_t>> colors;
    if (options_.labels == LabelFiles::index_and_rgb)
        colors = std::make_unique<StripeFile<std::uint8_t>>(folder_ / "labels_rgb.tif", place, rgb);

    for (std::int64_t row = 0; row < grid.rows; row += options_.stripe_rows) {
        const std::int64_t rows = stripe(row, grid.rows);
        optical.start(row, rows);
        labels.start(row, rows);
        if (colors) colors->start(row, rows);
        for_each_block(grid.columns, row, rows, [&](const PixelWindow& window) {
            std::vector<std::uint8_t> bands(4 * window.area()), classes(window.area());
            render_optical(landscape_, grid, window, bands, classes);
            optical.put(window, bands);
            labels.put(window, classes);
            if (!colors) return;
            std::vector<std::uint8_t> painted(3 * window.area(), 0);
            for (std::size_t k = 0; k < classes.size(); ++k)
                if (classes[k] != label_nodata)
                    std::copy_n(info(static_cast<LandCover>(classes[k])).color.begin(), 3,
                                painted.begin() + 3 * k);
            colors->put(window, painted);
        });
        count(labels.values());
        optical.write();
        labels.write();
        if (colors) colors->write();
        report("optical.tif", row + rows, grid.rows);
    }
    optical.finish();
    labels.finish();
    if (colors) colors->finish();
}

/// Scene positions of all pixel centres of a window of the height raster. The lattice of exactly transformed
/// points is fixed to the raster, so that a position depends on its pixel alone.
std::vector<Point> scene_points(const raster::CoordinateTransform& to_scene, const raster::Grid& grid,
                                const Placement& placement, const PixelWindow& window) {
    const std::int64_t first_column = window.column / lattice_step, first_row = window.row / lattice_step;
    const std::int64_t columns = (window.column + window.columns) / lattice_step - first_column + 2;
    const std::int64_t rows = (window.row + window.rows) / lattice_step - first_row + 2;
    std::vector<double> x, y;
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t column = 0; column < columns; ++column) {
            x.push_back(grid.transform[0] +
                        static_cast<double>((first_column + column) * lattice_step) * height_pixel);
            y.push_back(grid.transform[3] -
                        static_cast<double>((first_row + row) * lattice_step) * height_pixel);
        }
    }
    to_scene.apply(x, y);
    for (std::size_t k = 0; k < x.size(); ++k) {
        x[k] -= placement.west;
        y[k] = placement.north - y[k];
    }
    std::vector<Point> points;
    points.reserve(window.area());
    for (std::int64_t row = window.row; row < window.row + window.rows; ++row) {
        const double fy = (static_cast<double>(row) + 0.5) / lattice_step;
        const std::int64_t node_row = row / lattice_step - first_row;
        const double ty = fy - static_cast<double>(row / lattice_step);
        for (std::int64_t column = window.column; column < window.column + window.columns; ++column) {
            const double tx = (static_cast<double>(column) + 0.5) / lattice_step -
                              static_cast<double>(column / lattice_step);
            const auto k =
                static_cast<std::size_t>(node_row * columns + column / lattice_step - first_column);
            const auto below = k + static_cast<std::size_t>(columns);
            points.push_back({mix(mix(x[k], x[k + 1], tx), mix(x[below], x[below + 1], tx), ty),
                              mix(mix(y[k], y[k + 1], tx), mix(y[below], y[below + 1], tx), ty)});
        }
    }
    return points;
}

void SceneWriter::write_height() {
    const raster::Grid grid = height_grid(options_.size, placement_);
    const raster::Grid scene = georeferenced(optical_grid(options_.size), placement_);
    raster::RasterFormat format;
    format.dtype = DType::f32;
    format.nodata = static_cast<double>(height_nodata);
    format.band_names = {"surface height in metres"};
    format.layout = raster::RasterLayout::tiled;
    StripeFile<float> file(folder_ / "height.tif", grid, format);
    const raster::CoordinateTransform to_scene(grid.crs, scene.crs, grid.bounds());
    for (std::int64_t row = 0; row < grid.height; row += options_.stripe_rows) {
        const std::int64_t rows = stripe(row, grid.height);
        file.start(row, rows);
        for_each_block(grid.width, row, rows, [&](const PixelWindow& window) {
            const std::vector<Point> points = scene_points(to_scene, grid, placement_, window);
            std::vector<float> heights(window.area());
            render_height(landscape_, window, points, heights);
            file.put(window, heights);
        });
        file.write();
        report("height.tif", row + rows, grid.height);
    }
    file.finish();
}

void SceneWriter::write_sar() {
    const PixelGrid grid = sar_grid(options_.size);
    raster::RasterFormat format;
    format.dtype = DType::f32;
    format.bands = 2;
    format.nodata = static_cast<double>(sar_nodata);
    format.band_names = {"VV in dB", "VH in dB"};
    format.layout = raster::RasterLayout::tiled;
    StripeFile<float> file(folder_ / "sar.tif", georeferenced(grid, placement_), format);
    for (std::int64_t row = 0; row < grid.rows; row += options_.stripe_rows) {
        const std::int64_t rows = stripe(row, grid.rows);
        file.start(row, rows);
        for_each_block(grid.columns, row, rows, [&](const PixelWindow& window) {
            std::vector<float> bands(2 * window.area());
            render_sar(landscape_, grid, window, bands);
            file.put(window, bands);
        });
        file.write();
        report("sar.tif", row + rows, grid.rows);
    }
    file.finish();
}

void SceneWriter::write_classes(const char* name, RenderClasses render) {
    const PixelGrid grid = optical_grid(options_.size);
    raster::RasterFormat index = raster::class_map_format(legend());
    index.layout = raster::RasterLayout::tiled;
    StripeFile<std::uint8_t> file(folder_ / name, georeferenced(grid, placement_), index);
    for (std::int64_t row = 0; row < grid.rows; row += options_.stripe_rows) {
        const std::int64_t rows = stripe(row, grid.rows);
        file.start(row, rows);
        for_each_block(grid.columns, row, rows, [&](const PixelWindow& window) {
            std::vector<std::uint8_t> classes(window.area());
            render(landscape_, grid, window, classes);
            file.put(window, classes);
        });
        file.write();
        report(name, row + rows, grid.rows);
    }
    file.finish();
}

}  // namespace

SceneSummary write_scene(const std::filesystem::path& folder, const SceneOptions& options,
                         const SceneProgress& progress) {
    if (options.size < smallest_scene || options.size > largest_scene) {
        throw Error(ExitCode::usage, 103,
                    fmt::format("the size of the scene is {} pixels, but must lie between {} and {}.",
                                options.size, smallest_scene, largest_scene),
                    "Choose another --size.");
    }
    TERRANE_ASSERT(options.stripe_rows > 0, "stripes of {} rows", options.stripe_rows);
    create_folders(folder);
    if (options.existing == ExistingScene::keep && std::filesystem::exists(folder / "scene.toml")) {
        throw Error(ExitCode::cannot_create, 901, fmt::format("{} already holds a scene.", folder.string()),
                    "Name another folder with -o, or add --overwrite.");
    }
    return SceneWriter(folder, options, progress).write();
}

}  // namespace terrane::synth
