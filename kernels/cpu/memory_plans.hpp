#pragma once

#include "cpu/plans.hpp"

/// The makers of the plans bound by memory, one file per op.
namespace terrane::cpu {

Offer make_activation(const device::PlanRequest& request);
Offer make_adaptive_pool(const device::PlanRequest& request);
Offer make_add(const device::PlanRequest& request);
Offer make_batch_norm(const device::PlanRequest& request);
Offer make_boundary(const device::PlanRequest& request);
Offer make_classify(const device::PlanRequest& request);
Offer make_concat(const device::PlanRequest& request);
Offer make_cross_entropy(const device::PlanRequest& request);
Offer make_dice(const device::PlanRequest& request);
Offer make_distance_entropy(const device::PlanRequest& request);
Offer make_dropout(const device::PlanRequest& request);
Offer make_focal(const device::PlanRequest& request);
Offer make_gated_sum(const device::PlanRequest& request);
Offer make_group_norm(const device::PlanRequest& request);
Offer make_layer_norm(const device::PlanRequest& request);
Offer make_lovasz(const device::PlanRequest& request);
Offer make_multiply(const device::PlanRequest& request);
Offer make_pool(const device::PlanRequest& request);
Offer make_positional_embedding(const device::PlanRequest& request);
Offer make_resize(const device::PlanRequest& request);
Offer make_slice(const device::PlanRequest& request);
Offer make_softmax(const device::PlanRequest& request);
Offer make_brier_loss(const device::PlanRequest& request);
Offer make_channel_add(const device::PlanRequest& request);
Offer make_denoise(const device::PlanRequest& request);
Offer make_diffuse(const device::PlanRequest& request);
Offer make_height_encoding(const device::PlanRequest& request);
Offer make_kernel_discrepancy(const device::PlanRequest& request);
Offer make_linear_attention(const device::PlanRequest& request);
Offer make_patches(const device::PlanRequest& request);
Offer make_simplex_projection(const device::PlanRequest& request);
Offer make_scale_gradient(const device::PlanRequest& request);
Offer make_share_loss(const device::PlanRequest& request);
Offer make_slope_magnitude(const device::PlanRequest& request);
Offer make_soft_targets(const device::PlanRequest& request);
Offer make_state_blend(const device::PlanRequest& request);
Offer make_time_embedding(const device::PlanRequest& request);
Offer make_uniform_state(const device::PlanRequest& request);
Offer make_tversky(const device::PlanRequest& request);

}  // namespace terrane::cpu
