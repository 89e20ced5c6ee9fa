#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tensor/tensor_view.hpp"

namespace terrane::device {

/// From a pixel of the training crop to a position in the stored tile, both in pixels of the reference grid
/// with pixel centres at half integers: column = xx * x + xy * y + x0, row = yx * x + yy * y + y0, where (x,
/// y) is the centre of the crop's pixel. The eight symmetries of the square, rotation, zoom and the choice of
/// the crop are all in here.
struct SampleTransform {
    double xx = 1, xy = 0, x0 = 0;
    double yx = 0, yy = 1, y0 = 0;
};

/// How one band's stored numbers become network input:
///   v = clamp(stored * multiply + add - base, clip_low, clip_high);  input = ((v - mean) *
///   inverse_deviation) * gain + shift + noise
/// Invalid pixels become `invalid` after everything: 0, the training mean, unless the modality says what a
/// missing measurement stands for.
struct BandNormalisation {
    float multiply = 1, add = 0;
    float clip_low = -3.4e38f, clip_high = 3.4e38f;
    float mean = 0, inverse_deviation = 1;
    float invalid = 0;
};

/// One modality of one sample on its way from the tile store to the network's input slot.
struct ModalitySample {
    TensorView tile;         ///< [h, w, bands], stored type, in host memory
    TensorView validity;     ///< u8 [h, w], 0 = invalid, in host memory
    std::int64_t scale = 1;  ///< reference pixels per pixel of this modality
    std::span<const BandNormalisation> bands;
    float base = 0;  ///< subtracted first (relative heights), in stored units * multiply + add
    float gain = 1, shift = 0, noise = 0;  ///< radiometric augmentation, in standard deviations
    std::uint64_t noise_key = 0;           ///< Philox key of the noise, a function of seed and sample
    TensorView output;                     ///< [crop / scale, crop / scale, bands], f32 or bf16
};

/// Cuts, turns, normalises and casts samples on the device. What comes in lies in host memory and may be
/// changed when a call returns; outputs lie in device memory.
class SampleKernels {
  public:
    virtual ~SampleKernels() = default;

    /// Samples may be brought to the device beside the work that is queued for it. Between begin() and end()
    /// they go to the slot that lies at `slot`, as soon as no work reads it any more; work queued after use()
    /// finds it whole, and reads no other slot. Calls outside of begin() and end() are in order with all
    /// work.
    virtual void begin(const std::byte* /*slot*/) {}
    virtual void end(const std::byte* /*slot*/) {}
    virtual void use(const std::byte* /*slot*/) {}

    /// Bilinear sampling among valid pixels (their weights renormalised; nearest when the transform maps
    /// pixel centres onto pixel centres, so that untouched samples stay exact); positions outside the tile
    /// are invalid.
    virtual void assemble(const ModalitySample& sample, const SampleTransform& transform) = 0;

    /// Nearest pixel of a map of labels (or distances); `outside` beyond the tile. tile: u8 [T, T], output:
    /// u8 [crop, crop].
    virtual void assemble_labels(const TensorView& tile, const SampleTransform& transform,
                                 const TensorView& output, std::uint8_t outside = 255) = 0;

    /// Numbers that the host has worked out, as they are. output: f32, as many elements.
    virtual void write(std::span<const float> values, const TensorView& output) = 0;
};

}  // namespace terrane::device
