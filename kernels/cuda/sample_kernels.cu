#include "cuda/sample_kernels.hpp"

#include "cuda/launch.hpp"
#include "formulas/sample.hpp"
#include "ops/common.hpp"
#include "tensor/visit_dtype.hpp"

namespace terrane::cuda {

namespace {

/// Bands of one launch: their numbers travel with it.
constexpr std::int64_t most_bands = 64;

template <typename Stored>
struct AssemblePixel {
    const Stored* tile;
    const std::uint8_t* validity;
    FloatsOut output;
    device::SampleTransform transform;
    std::int64_t tile_height, tile_width, all_bands, out_width, scale;
    std::int64_t first_band, bands;
    float base, gain, shift, noise;
    std::uint64_t noise_key;
    device::BandNormalisation normalisation[most_bands];

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const auto position = formulas::tile_position(transform, pixel % out_width, pixel / out_width, scale);
        const auto taps = formulas::tile_taps(position, tile_height, tile_width);
        const auto weights = formulas::valid_weights(taps, validity, tile_width);
        for (std::int64_t b = 0; b < bands; ++b) {
            const std::int64_t i = pixel * all_bands + first_band + b;
            float value = normalisation[b].invalid;
            if (weights.any) {
                const auto stored =
                    formulas::sampled<float>(taps, weights, tile + first_band + b, tile_width, all_bands);
                value = formulas::normalised(stored, normalisation[b], base, gain, shift);
                if (noise != 0) value += noise * formulas::sample_noise<float>(noise_key, i);
            }
            output.store(i, value);
        }
    }
};

struct LabelPixel {
    const std::uint8_t* tile;
    std::uint8_t* output;
    device::SampleTransform transform;
    std::int64_t tile_height, tile_width, out_width;
    std::uint8_t outside;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const auto position = formulas::tile_position(transform, i % out_width, i / out_width, 1);
        const std::int64_t pixel = formulas::nearest_pixel(position, tile_height, tile_width);
        output[i] = pixel >= 0 ? tile[pixel] : outside;
    }
};

}  // namespace

std::byte* SampleKernels::staging(std::size_t bytes) {
    if (staging_.bytes() < bytes) staging_ = memory_.allocate(bytes);
    return staging_.data();
}

void SampleKernels::write(std::span<const float> values, const TensorView& output) {
    memory_.copy_to_device(output.data, reinterpret_cast<const std::byte*>(values.data()),
                           values.size_bytes());
}

void SampleKernels::assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) {
    const Shape& tile = sample.tile.shape();
    const Shape& output = sample.output.shape();
    TERRANE_ASSERT(tile.rank() == 3 && output.rank() == 3 && tile[2] == output[2] &&
                       static_cast<std::int64_t>(sample.bands.size()) == tile[2] &&
                       (sample.validity.shape() == Shape{tile[0], tile[1]}),
                   "a tile {} does not fit validity {}, {} bands and output {}", tile.text(),
                   sample.validity.shape().text(), sample.bands.size(), output.text());
    const std::size_t tile_bytes = device::aligned(sample.tile.bytes());
    std::byte* const memory = staging(tile_bytes + sample.validity.bytes());
    memory_.copy_to_device(memory, sample.tile.data, sample.tile.bytes());
    memory_.copy_to_device(memory + tile_bytes, sample.validity.data, sample.validity.bytes());
    visit_dtype(sample.tile.dtype(), [&]<typename Stored>(std::type_identity<Stored>) {
        AssemblePixel<Stored> work{reinterpret_cast<const Stored*>(memory),
                                   reinterpret_cast<const std::uint8_t*>(memory + tile_bytes),
                                   {sample.output.data, sample.output.dtype()},
                                   transform,
                                   tile[0],
                                   tile[1],
                                   tile[2],
                                   output[1],
                                   sample.scale,
                                   0,
                                   0,
                                   sample.base,
                                   sample.gain,
                                   sample.shift,
                                   sample.noise,
                                   sample.noise_key,
                                   {}};
        for (std::int64_t first = 0; first < tile[2]; first += most_bands) {
            work.first_band = first;
            work.bands = std::min(most_bands, tile[2] - first);
            std::copy_n(sample.bands.begin() + first, work.bands, work.normalisation);
            launch(queue_, output[0] * output[1], work);
        }
    });
}

void SampleKernels::assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                                    const TensorView& output, std::uint8_t outside) {
    std::byte* const memory = staging(tile.bytes());
    memory_.copy_to_device(memory, tile.data, tile.bytes());
    launch(queue_, output.elements(),
           LabelPixel{reinterpret_cast<const std::uint8_t*>(memory), output.as<std::uint8_t>(), transform,
                      tile.shape()[0], tile.shape()[1], output.shape()[1], outside});
}

}  // namespace terrane::cuda
