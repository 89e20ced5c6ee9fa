#include "cpu/sample_kernels.hpp"

#include <cmath>
#include <optional>
#include <type_traits>

#include "base/error.hpp"
#include "cpu/element.hpp"
#include "cpu/isa.hpp"
#include "cpu/parallel.hpp"
#include "formulas/sample.hpp"
#include "ops/common.hpp"
#include "tensor/visit_dtype.hpp"

namespace terrane::cpu {

namespace {

using device::BandNormalisation;
using device::ModalitySample;
using device::SampleTransform;

/// Where a transform maps pixels onto pixels: output (x, y) is tile row `row + row_x * x + row_y * y`, column
/// likewise. True for the eight symmetries of the square around a whole number of pixels.
struct PixelMap {
    std::int64_t row = 0, row_x = 0, row_y = 0;
    std::int64_t column = 0, column_x = 0, column_y = 0;
};

std::optional<PixelMap> pixel_map(const SampleTransform& t, std::int64_t scale) {
    const auto step = [](double value) -> std::optional<std::int64_t> {
        if (value == 0 || value == 1 || value == -1) return static_cast<std::int64_t>(value);
        return std::nullopt;
    };
    const auto xx = step(t.xx), xy = step(t.xy), yx = step(t.yx), yy = step(t.yy);
    if (!xx || !xy || !yx || !yy) return std::nullopt;
    const formulas::TilePosition origin = formulas::tile_position(t, 0, 0, scale);
    const double row = std::floor(origin.row), column = std::floor(origin.column);
    if (std::abs(origin.row - row - 0.5) > formulas::on_centre / 2 ||
        std::abs(origin.column - column - 0.5) > formulas::on_centre / 2) {
        return std::nullopt;
    }
    return PixelMap{static_cast<std::int64_t>(row), *yx, *yy, static_cast<std::int64_t>(column), *xx, *xy};
}

/// A tile, its mask and what is done to its values; plain pointers for the row loops.
template <typename Stored>
struct Source {
    const Stored* tile;
    const std::uint8_t* validity;
    std::int64_t height, width, bands, scale;
    const BandNormalisation* normalisations;
    float base, gain, shift, noise;
    std::uint64_t noise_key;
};

/// Types whose every value a float holds are computed in float, the others in double.
template <typename Stored>
using Arithmetic = std::conditional_t<sizeof(Stored) <= 2 || std::is_same_v<Stored, float>, float, double>;

/// The noise of one element, or nothing.
template <typename Stored>
TERRANE_INLINE float noise(const Source<Stored>& source, std::int64_t y, std::int64_t width, std::int64_t x,
                           std::int64_t band) {
    if (source.noise == 0) return 0;
    const std::int64_t index = (y * width + x) * source.bands + band;
    return source.noise * formulas::sample_noise<float>(source.noise_key, index);
}

template <typename Stored, typename Element>
TERRANE_INLINE void mapped_row(const Source<Stored>& source, const PixelMap& map, std::int64_t y,
                               std::int64_t width, Element* output) {
    using Real = Arithmetic<Stored>;
    for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t row = map.row + map.row_x * x + map.row_y * y;
        const std::int64_t column = map.column + map.column_x * x + map.column_y * y;
        const bool inside = row >= 0 && row < source.height && column >= 0 && column < source.width;
        const std::int64_t pixel = row * source.width + column;
        const bool valid = inside && source.validity[pixel] != 0;
        for (std::int64_t band = 0; band < source.bands; ++band) {
            float value = source.normalisations[band].invalid;
            if (valid) {
                value = static_cast<float>(formulas::normalised<Real>(
                            static_cast<Real>(source.tile[pixel * source.bands + band]),
                            source.normalisations[band], source.base, source.gain, source.shift)) +
                        noise(source, y, width, x, band);
            }
            store(output + x * source.bands + band, value);
        }
    }
}

template <typename Stored, typename Element>
TERRANE_INLINE void interpolated_row(const Source<Stored>& source, const SampleTransform& transform,
                                     std::int64_t y, std::int64_t width, Element* output) {
    using Real = Arithmetic<Stored>;
    for (std::int64_t x = 0; x < width; ++x) {
        const auto position = formulas::tile_position(transform, x, y, source.scale);
        const auto taps = formulas::tile_taps(position, source.height, source.width);
        const auto weights = formulas::valid_weights(taps, source.validity, source.width);
        for (std::int64_t band = 0; band < source.bands; ++band) {
            float value = source.normalisations[band].invalid;
            if (weights.any) {
                const auto stored =
                    formulas::sampled<Real>(taps, weights, source.tile + band, source.width, source.bands);
                value = static_cast<float>(formulas::normalised<Real>(
                            stored, source.normalisations[band], source.base, source.gain, source.shift)) +
                        noise(source, y, width, x, band);
            }
            store(output + x * source.bands + band, value);
        }
    }
}

template <typename Stored, typename Element>
void assemble_rows(const ModalitySample& sample, const SampleTransform& transform) {
    const Shape& tile = sample.tile.shape();
    const Source<Stored> source{sample.tile.as<Stored>(),
                                sample.validity.as<std::uint8_t>(),
                                tile[0],
                                tile[1],
                                tile[2],
                                sample.scale,
                                sample.bands.data(),
                                sample.base,
                                sample.gain,
                                sample.shift,
                                sample.noise,
                                sample.noise_key};
    const std::int64_t height = sample.output.shape()[0], width = sample.output.shape()[1];
    auto* output = sample.output.as<Element>();
    const std::optional<PixelMap> map = pixel_map(transform, sample.scale);
    const std::int64_t row_elements = width * source.bands;
    const auto bytes = static_cast<std::int64_t>(sizeof(Stored) + sizeof(Element)) * height * row_elements;
    parallel_range(height, bytes, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t y = begin; y < end; ++y) {
            Element* row = output + y * row_elements;
            if (map) {
                vectorised([&] { mapped_row(source, *map, y, width, row); });
            } else {
                vectorised([&] { interpolated_row(source, transform, y, width, row); });
            }
        }
    });
}

template <typename Stored>
void assemble_stored(const ModalitySample& sample, const SampleTransform& transform) {
    if (sample.output.dtype() == DType::bf16) return assemble_rows<Stored, bfloat16>(sample, transform);
    assemble_rows<Stored, float>(sample, transform);
}

}  // namespace

void SampleKernels::assemble(const ModalitySample& sample, const SampleTransform& transform) {
    const Shape& tile = sample.tile.shape();
    const Shape& output = sample.output.shape();
    TERRANE_ASSERT(tile.rank() == 3 && output.rank() == 3 && tile[2] == output[2] &&
                       static_cast<std::int64_t>(sample.bands.size()) == tile[2] &&
                       (sample.validity.shape() == Shape{tile[0], tile[1]}),
                   "a tile {} does not fit validity {}, {} bands and output {}", tile.text(),
                   sample.validity.shape().text(), sample.bands.size(), output.text());
    visit_dtype(sample.tile.dtype(), [&]<typename Stored>(std::type_identity<Stored>) {
        assemble_stored<Stored>(sample, transform);
    });
}

void SampleKernels::assemble_labels(const TensorView& tile, const SampleTransform& transform,
                                    const TensorView& output, std::uint8_t outside) {
    const auto* labels = tile.as<std::uint8_t>();
    auto* target = output.as<std::uint8_t>();
    const std::int64_t tile_height = tile.shape()[0], tile_width = tile.shape()[1];
    const std::int64_t height = output.shape()[0], width = output.shape()[1];
    const std::optional<PixelMap> map = pixel_map(transform, 1);
    parallel_range(height, height * width * 16, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin * width; i < end * width; ++i) {
            const std::int64_t x = i % width, y = i / width;
            std::int64_t pixel = -1;
            if (map) {
                const std::int64_t row = map->row + map->row_x * x + map->row_y * y;
                const std::int64_t column = map->column + map->column_x * x + map->column_y * y;
                const bool inside = row >= 0 && row < tile_height && column >= 0 && column < tile_width;
                if (inside) pixel = row * tile_width + column;
            } else {
                pixel = formulas::nearest_pixel(formulas::tile_position(transform, x, y, 1), tile_height,
                                                tile_width);
            }
            target[i] = pixel >= 0 ? labels[pixel] : outside;
        }
    });
}

void SampleKernels::write(std::span<const float> values, const TensorView& output) {
    std::copy(values.begin(), values.end(), output.as<float>());
}

}  // namespace terrane::cpu
