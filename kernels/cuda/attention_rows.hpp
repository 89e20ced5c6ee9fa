#pragma once

#include <cstdint>

#include "cuda/queue.hpp"
#include "device/op_plan.hpp"

/// What attention by products of matrices does between its products, row of scores by row. Instances for
/// float, bfloat16 and float16.
namespace terrane::cuda {

/// Keys that a thread takes at once, and that a byte of a mask is for.
inline constexpr std::int64_t keys_per_pack = 8;

/// The scores of some samples and heads, [samples, group_heads, queries, leading], out of all that an
/// attention has. `leading` is the keys rounded up to whole packs; what lies behind the keys is not read.
struct ScoreRows {
    std::int64_t first_sample = 0, samples, first_head = 0, group_heads;
    std::int64_t heads;  ///< of the attention
    std::int64_t queries, keys, leading;

    std::int64_t count() const { return samples * group_heads * queries; }
};

/// Dropout of probabilities; nothing is dropped if `probability` is 0.
struct ScoreDropout {
    double probability = 0;
    std::uint64_t stream = 0;
    const device::StepState* step = nullptr;  ///< in device memory
};

/// Queues probabilities = drop(softmax(scores)) per row, zeros behind the keys. In inference `normalisers` is
/// null; in training it gets the log of each row's sum of exponentials, [samples, heads, queries] of the
/// whole attention, and `kept`, which is null without dropout, a bit per probability, [samples, heads,
/// queries, leading / 8]. T = float: scores and probabilities may be the same memory.
template <typename T>
void launch_probabilities(Queue queue, const ScoreRows& rows, const ScoreDropout& dropout,
                          const float* scores, T* probabilities, float* normalisers, std::uint8_t* kept);

/// Queues, per row, with P = exp(scores - normaliser), M what dropout multiplies P with, and D = M * slopes,
/// the slopes being the derivatives of the loss by P M:
///   dropped = P M,  gradients = P (D - sum over keys of P D).
/// Either result is left out if null; slopes are not read without gradients. T = float: scores and dropped,
/// slopes and gradients may be the same memory.
template <typename T>
void launch_score_gradients(Queue queue, const ScoreRows& rows, double dropout, const float* scores,
                            const float* slopes, const float* normalisers, const std::uint8_t* kept,
                            T* dropped, T* gradients);

}  // namespace terrane::cuda
