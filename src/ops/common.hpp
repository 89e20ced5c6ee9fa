#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/tensor_view.hpp"

/// Operations as plain descriptions: maths, shapes, cost, what backward needs. No device code, no memory.
///
/// Every op is a struct with
///   static constexpr std::string_view name;
///   std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;   // shape rule, checks its
///   inputs Cost cost(std::span<const TensorSpec> inputs) const;                         // of one forward
///   BackwardNeeds backward_needs() const;
/// and is a member of the closed variant ops::Op (ops/op.hpp). Activations are NHWC; the order of inputs is
/// stated with each struct. Gradients: dX means the derivative of the summed loss by X.
namespace terrane::ops {

/// Arithmetic and compulsory memory traffic of one forward pass, for floors and for `inspect`.
/// A multiply-add counts as two operations.
struct Cost {
    double flops = 0;
    double bytes = 0;
};

/// Which tensors a backward pass reads, as bit masks over the positions of inputs and outputs. Everything
/// else may be overwritten after the forward pass. What an op must remember beyond that (statistics, random
/// masks) it keeps in its plan's `saved` bytes.
struct BackwardNeeds {
    std::uint32_t inputs = 0;
    std::uint32_t outputs = 0;
};

/// How positions of two grids correspond when a map is resized. half_pixel: source = (target + 0.5) * in /
/// out - 0.5, clamped at 0 (PyTorch's align_corners=False); align_corners: source = target * (in - 1) / (out
/// - 1).
enum class Corners { half_pixel, align_corners };

/// What a loss over pixels is divided by: the weights of the pixels that are learned, or the number of all
/// pixels, ignored ones included (as MMSegmentation does, where a tile full of ignored pixels counts less).
/// `samples` is for losses whose terms look at different maps: each is a mean over its own pixels of all
/// ranks in one pass, and enters as that mean times the number of samples.
enum class Denominator { valid, all, samples };

/// The value of a label raster that is neither learned nor scored.
inline constexpr int ignore_label = 255;

/// What becomes of pixels without a class in losses over soft targets: left out, or taken as targets of zero
/// for every class (as published implementations do).
enum class VoidPixels { masked, zero_vector };

/// The type of maps that stay exact whatever the activations: f32, f64 of f64.
constexpr DType real_type(DType activations) {
    return activations == DType::f64 ? DType::f64 : DType::f32;
}

/// Sum of bytes of all specs.
double bytes_of(std::span<const TensorSpec> specs);

}  // namespace terrane::ops
