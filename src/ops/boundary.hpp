#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Boundary loss (Kervadec et al. 2019) in the frame of ops/class_loss.hpp: probabilities integrated over the
/// signed distance to the boundary of the true region. For a valid pixel of class t with weight v =
/// class_weights[t]:
///   loss = v * sum_c phi_c p_c, summed over the pixels,
/// where phi_c is, in label pixels, the distance to the nearest pixel of class c outside the region, and 1
/// minus the distance to the nearest pixel of another label (ignored ones included) inside; 0 everywhere for
/// a class that an image lacks or that fills it. The loss can be negative. It says nothing about classes that
/// are absent, so it belongs beside another term. The distances are exact (base/distance_transform.hpp) and
/// are computed from the labels in every forward pass.
struct Boundary {
    Corners corners = Corners::half_pixel;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "boundary";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops
