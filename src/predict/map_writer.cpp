#include "predict/map_writer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/error.hpp"
#include "base/leftovers.hpp"
#include "base/log.hpp"

namespace terrane::predict {

namespace {

constexpr std::uint8_t nodata = 255;
constexpr float no_score = std::numeric_limits<float>::quiet_NaN();

std::filesystem::path beside(const std::filesystem::path& map, const std::string& ending) {
    std::filesystem::path path = map;
    path.replace_extension(ending);
    return path;
}

raster::RasterFormat map_format(const MapProducts& products) {
    raster::ClassLegend legend;
    for (const MapClass& entry : products.classes)
        legend.entries.push_back({entry.id, entry.name, entry.color});
    return raster::class_map_format(std::move(legend));
}

raster::RasterFormat confidence_format() {
    raster::RasterFormat format;
    format.nodata = nodata;
    format.band_names = {"confidence, percent"};
    return format;
}

raster::RasterFormat scores_format(const MapProducts& products) {
    raster::RasterFormat format;
    format.dtype = DType::f32;
    format.bands = static_cast<std::int64_t>(products.classes.size());
    format.nodata = static_cast<double>(no_score);
    for (const MapClass& entry : products.classes) format.band_names.push_back(entry.name);
    return format;
}

raster::RasterFormat as_part(raster::RasterFormat format) {
    format.layout = raster::RasterLayout::part;
    format.legend.reset();
    format.band_names.clear();
    return format;
}

raster::Window window_of(const Block& block) {
    return {block.columns.begin, block.rows.begin, block.columns.size(), block.rows.size()};
}

raster::Grid grid_of(const raster::Grid& scene, const Block& block) {
    raster::Grid grid = scene;
    grid.width = block.columns.size();
    grid.height = block.rows.size();
    const auto column = static_cast<double>(block.columns.begin);
    const auto row = static_cast<double>(block.rows.begin);
    grid.transform[0] += column * scene.transform[1] + row * scene.transform[2];
    grid.transform[3] += column * scene.transform[4] + row * scene.transform[5];
    return grid;
}

[[noreturn]] void refuse(const std::string& what, const std::string& fix) {
    throw Error(ExitCode::cannot_create, 910, what, fix);
}

void write_quicklook(const MapProducts& products, const raster::Grid& scene,
                     const raster::RasterMosaic& map) {
    const double factor = std::min(1.0, static_cast<double>(products.quicklook_edge) /
                                            static_cast<double>(std::max(scene.width, scene.height)));
    const auto scaled = [&](std::int64_t length) {
        return std::max<std::int64_t>(1, std::llround(static_cast<double>(length) * factor));
    };
    const std::int64_t width = scaled(scene.width), height = scaled(scene.height);
    const std::vector<std::uint8_t> classes = map.reduced(width, height);
    std::array<std::array<std::uint8_t, 3>, 256> colors{};
    for (const MapClass& entry : products.classes) {
        for (std::size_t i = 0; i < 3; ++i) {
            colors[static_cast<std::size_t>(entry.id)][i] = static_cast<std::uint8_t>(entry.color[i]);
        }
    }
    // Where nothing is known the picture is transparent: black may be a class.
    std::vector<std::uint8_t> pixels;
    pixels.reserve(classes.size() * 4);
    for (const std::uint8_t id : classes) {
        pixels.insert(pixels.end(), colors[id].begin(), colors[id].end());
        pixels.push_back(id == nodata ? 0 : 255);
    }
    raster::write_png(products.quicklook_path(), width, height, 4, pixels);
}

}  // namespace

std::filesystem::path MapProducts::confidence_path() const {
    return beside(map, ".confidence.tif");
}

std::filesystem::path MapProducts::scores_path() const {
    return beside(map, ".scores.tif");
}

std::filesystem::path MapProducts::quicklook_path() const {
    return beside(map, ".png");
}

std::vector<std::filesystem::path> MapProducts::files() const {
    std::vector<std::filesystem::path> paths{map};
    if (confidence) paths.push_back(confidence_path());
    if (scores) paths.push_back(scores_path());
    if (quicklook_edge > 0) paths.push_back(quicklook_path());
    return paths;
}

std::size_t MapProducts::row_bytes() const {
    const std::size_t pixel = 1 + (confidence ? 1 : 0) + (scores ? sizeof(float) * classes.size() : 0);
    return pixel * static_cast<std::size_t>(raster::part_block_rows);
}

void MapProducts::check(Existing existing) const {
    if (map.extension() != ".tif" && map.extension() != ".tiff") {
        refuse(fmt::format("the map {} must be called something.tif.", map.string()),
               "Name the GeoTIFF to write with -o map.tif.");
    }
    const std::filesystem::path folder = map.has_parent_path() ? map.parent_path() : ".";
    if (!std::filesystem::is_directory(folder)) {
        refuse(fmt::format("the folder {} for the map does not exist.", folder.string()), "Create it first.");
    }
    for (const auto& file : files()) {
        if (existing == Existing::refuse && std::filesystem::exists(file)) {
            refuse(fmt::format("{} exists already.", file.string()),
                   "Choose another -o, or add --overwrite.");
        }
        if (std::filesystem::is_directory(file)) {
            refuse(fmt::format("{} is a folder.", file.string()), "Choose another -o.");
        }
    }
}

PartsFolder::PartsFolder(const std::filesystem::path& map, const std::string& owner) : path_(map) {
    path_ += ".parts-" + owner;
    remove_leftovers(map.parent_path(), map.filename().string() + ".parts-");
    std::error_code failure;
    std::filesystem::create_directory(path_, failure);
    if (!std::filesystem::is_directory(path_)) {
        refuse(fmt::format("{} can't be created: {}.", path_.string(), failure.message()),
               "Check the permissions of the folder and the free space.");
    }
}

PartsFolder::~PartsFolder() {
    // After a failure another rank may still add a file while this one clears the folder.
    std::error_code failure;
    for (int attempt = 0; attempt < 3; ++attempt) {
        std::filesystem::remove_all(path_, failure);
        if (!failure) return;
    }
    log::warning("{} could not be removed: {}.", path_.string(), failure.message());
}

std::filesystem::path PartsFolder::whole(const std::string& product) const {
    return path_ / (product + ".tif");
}

std::filesystem::path PartsFolder::part(const std::string& product, std::size_t index) const {
    return path_ / fmt::format("{}-{:05}.tif", product, index);
}

BlockWriter::BlockWriter(const MapProducts& products, const raster::Grid& scene, const Block& block,
                         std::size_t index, const PartsFolder& folder)
    : products_(products), block_(block) {
    const raster::Grid grid = grid_of(scene, block);
    map_writer_.emplace(folder.part("map", index), grid, as_part(map_format(products)));
    if (products.confidence)
        confidence_writer_.emplace(folder.part("confidence", index), grid, as_part(confidence_format()));
    if (products.scores)
        scores_writer_.emplace(folder.part("scores", index), grid, as_part(scores_format(products)));
    const auto held = static_cast<std::size_t>(block.columns.size() * raster::part_block_rows);
    classes_.reserve(held);
    if (products.confidence) confidence_.reserve(held);
    if (products.scores) scores_.reserve(held * products.classes.size());
}

void BlockWriter::add(const BlendedRow& row) {
    const std::size_t classes = products_.classes.size();
    TERRANE_ASSERT(row.row == block_.rows.begin + rows_written_ + rows_held_, "row {} comes out of order",
                   row.row);
    TERRANE_ASSERT(row.probabilities.size() == row.validity.size() * classes, "{} classes", classes);
    for (std::size_t x = 0; x < row.validity.size(); ++x) {
        const std::span<const float> probabilities = row.probabilities.subspan(x * classes, classes);
        const bool valid = row.validity[x] != 0;
        const auto best = std::ranges::max_element(probabilities);
        const auto index = static_cast<std::size_t>(best - probabilities.begin());
        classes_.push_back(valid ? static_cast<std::uint8_t>(products_.classes[index].id) : nodata);
        if (products_.confidence) {
            const float percent = std::clamp(*best * 100, 0.0f, 100.0f);
            confidence_.push_back(valid ? static_cast<std::uint8_t>(std::lround(percent)) : nodata);
        }
        if (products_.scores) {
            for (const float probability : probabilities) scores_.push_back(valid ? probability : no_score);
        }
    }
    if (++rows_held_ == raster::part_block_rows) write_rows();
}

void BlockWriter::write_rows() {
    if (rows_held_ == 0) return;
    const raster::Window window{0, rows_written_, block_.columns.size(), rows_held_};
    map_writer_->write(window, std::as_bytes(std::span(classes_)));
    if (confidence_writer_) confidence_writer_->write(window, std::as_bytes(std::span(confidence_)));
    if (scores_writer_) scores_writer_->write(window, std::as_bytes(std::span(scores_)));
    rows_written_ += rows_held_;
    rows_held_ = 0;
    classes_.clear();
    confidence_.clear();
    scores_.clear();
}

void BlockWriter::finish() {
    write_rows();
    TERRANE_ASSERT(rows_written_ == block_.rows.size(), "{} of {} rows came", rows_written_,
                   block_.rows.size());
    map_writer_->finish();
    if (confidence_writer_) confidence_writer_->finish();
    if (scores_writer_) scores_writer_->finish();
}

void assemble_products(const MapProducts& products, const raster::Grid& scene,
                       const std::vector<Block>& blocks, const PartsFolder& folder,
                       const std::function<void()>& working) {
    const auto mosaic = [&](const std::filesystem::path& path, const std::string& product,
                            raster::RasterFormat format) {
        std::vector<raster::MosaicPart> parts;
        for (std::size_t b = 0; b < blocks.size(); ++b)
            parts.push_back({folder.part(product, b), window_of(blocks[b])});
        return std::make_unique<raster::RasterMosaic>(path, scene, std::move(format), parts,
                                                      folder.whole(product), working);
    };
    // Everything is built before anything gets its name.
    std::vector<std::unique_ptr<raster::RasterMosaic>> mosaics;
    if (products.scores) mosaics.push_back(mosaic(products.scores_path(), "scores", scores_format(products)));
    if (products.confidence) {
        mosaics.push_back(mosaic(products.confidence_path(), "confidence", confidence_format()));
    }
    mosaics.push_back(mosaic(products.map, "map", map_format(products)));
    if (products.quicklook_edge > 0) write_quicklook(products, scene, *mosaics.back());
    for (const auto& built : mosaics) built->publish();
}

}  // namespace terrane::predict
