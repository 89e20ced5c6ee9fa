#include "predict/class_map_reader.hpp"

#include <cmath>

#include "base/error.hpp"
#include "raster/aligned_scene.hpp"
#include "raster/describe.hpp"
#include "raster/placement.hpp"
#include "tensor/visit_dtype.hpp"

namespace terrane::predict {

namespace {

// Enough for a message; a raster of measurements has millions of values.
constexpr std::size_t most_unknown_values = 1000;

/// `label_crs`: of a map of a picture without a place its truth's configuration knows.
raster::AlignedReader open_map(const std::filesystem::path& file, const std::string& label_crs) {
    const std::string crs(label_crs == raster::pixel_coordinates ? label_crs : std::string());
    const raster::RasterInfo info = raster::describe_placed({file}, crs, "the map").front();
    if (info.bands.size() != 1) {
        throw Error(
            ExitCode::data_invalid, 321,
            fmt::format("{} has {} bands, but a class map has one.", file.string(), info.bands.size()),
            "Give the map that terrane predict wrote, not its scores.");
    }
    raster::Source source;
    source.table = "the map";
    source.files = {file};
    source.crs = crs;
    source.bands = {1};
    source.nodata_also = {static_cast<double>(no_prediction)};
    return {std::move(source), info.grid};
}

void reserve(const raster::AlignedReader& reader, const raster::Window& window,
             std::vector<std::byte>& values, std::vector<std::uint8_t>& mask,
             std::vector<std::uint8_t>& result) {
    const auto pixels = static_cast<std::size_t>(window.pixels());
    values.resize(pixels * static_cast<std::size_t>(reader.bands()) * size_of(reader.dtype()));
    mask.resize(pixels);
    result.resize(pixels);
}

}  // namespace

ClassMapReader::ClassMapReader(const config::Config& config, const std::filesystem::path& file)
    : reader_(open_map(file, config.label.crs)) {
    for (std::size_t c = 0; c < config.classes.size(); ++c)
        classes_[config.classes[c].id] = static_cast<std::uint8_t>(c);
}

std::span<const std::uint8_t> ClassMapReader::read(const raster::Window& window) {
    reserve(reader_, window, values_, mask_, indices_);
    reader_.read(window, values_, mask_);
    visit_dtype(reader_.dtype(), [&]<typename T>(std::type_identity<T>) {
        const auto* values = reinterpret_cast<const T*>(values_.data());
        for (std::size_t i = 0; i < indices_.size(); ++i) {
            indices_[i] = no_prediction;
            if (mask_[i] == 0) continue;
            std::int64_t value = INT64_MIN;  // of no class
            if constexpr (std::is_floating_point_v<T>) {
                if (values[i] == std::floor(values[i]) && std::abs(values[i]) < T(1e9))
                    value = static_cast<std::int64_t>(values[i]);
            } else {
                value = static_cast<std::int64_t>(values[i]);
            }
            const auto found = classes_.find(value);
            if (found != classes_.end()) {
                indices_[i] = found->second;
            } else if (unknown_.size() < most_unknown_values || unknown_.contains(value)) {
                ++unknown_[value];
            }
        }
    });
    return indices_;
}

TruthReader::TruthReader(const config::Config& config, const std::vector<std::filesystem::path>& files,
                         const raster::Grid& grid, const std::filesystem::path& map)
    : coding_(config), reader_(raster::label_source(config.label, files), grid) {
    if (reader_.bounds().overlaps(grid.bounds())) return;
    throw Error(ExitCode::data_invalid, 208,
                fmt::format("the truth {} covers {}, which does not overlap the map {} with {} ({}).",
                            files[0].string(), reader_.bounds().text(), map.string(), grid.bounds().text(),
                            raster::crs_name(grid.crs)),
                "Name the truth of this map with --truth.");
}

std::span<std::uint8_t> TruthReader::read(const raster::Window& window) {
    reserve(reader_, window, values_, mask_, label_);
    reader_.read(window, values_, mask_);
    coding_.encode(reader_, values_, mask_, label_);
    return label_;
}

}  // namespace terrane::predict
