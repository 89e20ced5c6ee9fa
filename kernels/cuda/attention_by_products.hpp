#pragma once

#include <memory>
#include <string>

#include "cuda/product_shape.hpp"
#include "cuda/queue.hpp"
#include "device/op_plan.hpp"

namespace terrane::cuda {

/// Bytes of scores, in f32, that are worked on at a time: about what a GPU's cache holds.
inline constexpr std::int64_t usual_group_scores = std::int64_t{64} << 20;
/// A head is never cut: its scores may take this many bytes.
inline constexpr std::int64_t most_head_scores = std::int64_t{256} << 20;

/// Attention by products of matrices and kernels for the rows in between, with dropout or without, in f32,
/// bf16 and f16, for so many samples and heads at a time that their scores take at most `group_scores` bytes.
/// Null, with the reason, for other element types, for a head whose scores take too much memory, and where
/// `make_product` refuses.
std::unique_ptr<device::OpPlan> make_attention_by_products(const ops::Attention& op,
                                                           const device::PlanRequest& request, Queue queue,
                                                           const MakeProduct& make_product,
                                                           std::string& reason,
                                                           std::int64_t group_scores = usual_group_scores);

}  // namespace terrane::cuda
