#include "formulas/sample.hpp"
#include "ref/elements.hpp"
#include "ref/kernels.hpp"
#include "tensor/visit_dtype.hpp"

namespace terrane::ref {

namespace {

using device::ModalitySample;
using device::SampleTransform;

template <typename Stored>
void assemble_stored(const ModalitySample& sample, const SampleTransform& transform) {
    const std::int64_t height = sample.tile.shape()[0], width = sample.tile.shape()[1];
    const std::int64_t bands = sample.tile.shape()[2];
    const Shape& out = sample.output.shape();
    const auto* tile = sample.tile.as<Stored>();
    const auto* validity = sample.validity.as<std::uint8_t>();
    const AnyWriter output(sample.output);
    for (std::int64_t pixel = 0; pixel < out.pixels(); ++pixel) {
        const auto position =
            formulas::tile_position(transform, pixel % out[1], pixel / out[1], sample.scale);
        const auto taps = formulas::tile_taps(position, height, width);
        const auto weights = formulas::valid_weights(taps, validity, width);
        for (std::int64_t band = 0; band < bands; ++band) {
            const std::int64_t i = pixel * bands + band;
            double value = sample.bands[static_cast<std::size_t>(band)].invalid;
            if (weights.any) {
                const auto stored = formulas::sampled<double>(taps, weights, tile + band, width, bands);
                value = formulas::normalised(stored, sample.bands[static_cast<std::size_t>(band)],
                                             sample.base, sample.gain, sample.shift);
                if (sample.noise != 0) {
                    value += double{sample.noise} * formulas::sample_noise<double>(sample.noise_key, i);
                }
            }
            output.store(i, value);
        }
    }
}

}  // namespace

void RefSampleKernels::assemble(const ModalitySample& sample, const SampleTransform& transform) {
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

void RefSampleKernels::assemble_labels(const TensorView& tile, const SampleTransform& transform,
                                       const TensorView& output, std::uint8_t outside) {
    const auto* labels = tile.as<std::uint8_t>();
    auto* target = output.as<std::uint8_t>();
    const std::int64_t width = output.shape()[1];
    for (std::int64_t i = 0; i < output.elements(); ++i) {
        const auto position = formulas::tile_position(transform, i % width, i / width, 1);
        const std::int64_t pixel = formulas::nearest_pixel(position, tile.shape()[0], tile.shape()[1]);
        target[i] = pixel >= 0 ? labels[pixel] : outside;
    }
}

void RefSampleKernels::write(std::span<const float> values, const TensorView& output) {
    std::copy(values.begin(), values.end(), output.as<float>());
}

}  // namespace terrane::ref
