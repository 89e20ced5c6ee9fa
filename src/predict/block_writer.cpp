#include "predict/block_writer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace terrane::predict {

namespace {

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

raster::RasterFormat as_part(raster::RasterFormat format) {
    format.layout = raster::RasterLayout::part;
    format.legend.reset();
    format.band_names.clear();
    return format;
}

std::uint8_t rounded_percent(double percent) {
    return static_cast<std::uint8_t>(std::lround(std::clamp(percent, 0.0, 100.0)));
}

/// Of ln(count), the largest that `count` probabilities can have.
double relative_entropy(std::span<const float> probabilities) {
    double entropy = 0;
    for (const float p : probabilities) {
        if (p > 0) entropy -= static_cast<double>(p) * std::log(static_cast<double>(p));
    }
    return probabilities.size() > 1 ? entropy / std::log(static_cast<double>(probabilities.size())) : 0;
}

}  // namespace

BlockWriter::BlockWriter(const MapProducts& products, const raster::Grid& scene, const Block& block,
                         std::size_t index, const PartsFolder& folder)
    : classes_(products.classes), block_(block) {
    const raster::Grid grid = grid_of(scene, block);
    const auto held = static_cast<std::size_t>(block.columns.size() * raster::part_block_rows);
    for (const Product& product : products.rasters()) {
        Layer layer{product.kind,
                    raster::RasterWriter(folder.part(product.name, index), grid, as_part(product.format)),
                    {},
                    {}};
        if (product.kind == Product::Kind::scores) {
            layer.scores.reserve(held * classes_.size());
        } else {
            layer.bytes.reserve(held);
        }
        layers_.push_back(std::move(layer));
    }
}

void BlockWriter::append(Layer& layer, std::span<const float> probabilities, bool valid) const {
    const auto best = std::ranges::max_element(probabilities);
    switch (layer.kind) {
        case Product::Kind::map: {
            const auto index = static_cast<std::size_t>(best - probabilities.begin());
            layer.bytes.push_back(valid ? static_cast<std::uint8_t>(classes_[index].id) : map_nodata);
            break;
        }
        case Product::Kind::confidence:
            layer.bytes.push_back(valid ? rounded_percent(static_cast<double>(*best * 100)) : map_nodata);
            break;
        case Product::Kind::entropy:
            layer.bytes.push_back(valid ? rounded_percent(100 * relative_entropy(probabilities))
                                        : map_nodata);
            break;
        case Product::Kind::scores:
            for (const float probability : probabilities)
                layer.scores.push_back(valid ? probability : std::numeric_limits<float>::quiet_NaN());
            break;
    }
}

void BlockWriter::add(const BlendedRow& row) {
    const std::size_t classes = classes_.size();
    TERRANE_ASSERT(row.row == block_.rows.begin + rows_written_ + rows_held_, "row {} comes out of order",
                   row.row);
    TERRANE_ASSERT(row.probabilities.size() == row.validity.size() * classes, "{} classes", classes);
    for (Layer& layer : layers_) {
        for (std::size_t x = 0; x < row.validity.size(); ++x)
            append(layer, row.probabilities.subspan(x * classes, classes), row.validity[x] != 0);
    }
    if (++rows_held_ == raster::part_block_rows) write_rows();
}

void BlockWriter::write_rows() {
    if (rows_held_ == 0) return;
    const raster::Window window{0, rows_written_, block_.columns.size(), rows_held_};
    for (Layer& layer : layers_) {
        const bool scores = layer.kind == Product::Kind::scores;
        layer.writer.write(
            window, scores ? std::as_bytes(std::span(layer.scores)) : std::as_bytes(std::span(layer.bytes)));
        layer.bytes.clear();
        layer.scores.clear();
    }
    rows_written_ += rows_held_;
    rows_held_ = 0;
}

void BlockWriter::finish() {
    write_rows();
    TERRANE_ASSERT(rows_written_ == block_.rows.size(), "{} of {} rows came", rows_written_,
                   block_.rows.size());
    for (Layer& layer : layers_) layer.writer.finish();
}

}  // namespace terrane::predict
