#pragma once

#include "ops/common.hpp"

/// What the losses over a class map have in common. Inputs: logits [N,h,w,K], labels u8 [N,H,W],
/// class_weights f32 [K] (state). They work at the labels' resolution, the bilinear upsampling of the logits
/// fused in; pixels labelled 255 or beyond the classes take no part. Output: f64 [2] = {loss, own W}.
///
/// How a mean enters a sum. The optimizer step divides everything by W, the sum of class_weights[t] over the
/// valid pixels of all ranks and micro-steps. A loss that is a mean of something else (Dice, Tversky, Lovász)
/// therefore hands out W times that mean, so that it enters with exactly loss_weight; the gradient is that of
/// loss_weight * W * loss by the logits, each rank's own part.
///
/// With Denominator::all W is the number of all pixels, whatever their labels and weights.
///
/// With Denominator::samples W is the number of samples, and a loss that is a sum over pixels exchanges its
/// own sum of weights: it hands out (samples of all ranks / weights of all ranks) times its sum, so that
/// terms over maps with different numbers of valid pixels each enter with their own mean. Micro-steps then
/// count by their samples.
namespace terrane::ops {

/// What one score of an overlap loss is taken over: all samples of all ranks together, or each image alone.
enum class ScoreOver { batch, image };

/// The shape rule of all of them. Throws InternalError naming `loss`.
std::vector<TensorSpec> class_loss_outputs(std::string_view loss, std::span<const TensorSpec> inputs);

/// `flops` per class and label pixel.
Cost class_loss_cost(std::span<const TensorSpec> inputs, double flops);

}  // namespace terrane::ops
