#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Lovász-softmax loss (Berman et al. 2018) in the frame of ops/class_loss.hpp: the extension of 1 - IoU to
/// probabilities. For a class c, errors e_i = |[t_i = c] - p_ic| of the valid pixels in descending order
/// (ties by the place in the label map) and the Jaccard index J_i of calling the first i of them wrong:
///   loss_c = sum_i e_i (J_i - J_(i-1)); loss = mean over the classes that the labels show.
/// Gradient: the factors of the sorted errors, exact; equal bits whatever the number of threads.
/// Over images, the loss is the mean over the images of all ranks that have a valid pixel, and N ranks do
/// what one does. Over the batch, a score needs the order of all pixels, which ranks do not exchange: each
/// rank takes its own samples of the micro-step as the batch, and the loss is the mean over the ranks, i.e.
/// another one for another number of ranks.
struct Lovasz {
    Corners corners = Corners::half_pixel;
    ScoreOver over = ScoreOver::image;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "lovasz";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops
