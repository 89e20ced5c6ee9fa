#pragma once

#include <cstdint>

namespace terrane::device {

/// A run of parameters within the flat buffers that share their multipliers. Segments are sorted and
/// disjoint.
struct UpdateSegment {
    std::int64_t offset = 0;
    std::int64_t length = 0;
    float rate_multiplier = 1;
    float decay_multiplier = 1;
    std::int64_t first_step = 0;  ///< updates before this many have been made leave the segment alone; it
                                  ///< counts its own steps (AdamW's bias correction) from there
};

/// How AdamW's kernel applies weight decay: to the weights (Loshchilov and Hutter 2019), or added to the
/// gradient before the moments (plain Adam with L2).
enum class WeightDecay { decoupled, coupled };

/// What all updates of a run have in common.
struct UpdateRules {
    double weight_decay = 0;
    WeightDecay decay = WeightDecay::decoupled;  ///< AdamW
    double momentum = 0;                         ///< SGD
    double beta1 = 0, beta2 = 0, epsilon = 0;    ///< AdamW
    double clip_norm = 0;                        ///< largest norm of the mean gradient; 0: any
    double average_decay = 0;                    ///< of the moving average of the weights; 0: there is none
    bool scales_loss = false;                    ///< fp16: the loss scale follows the overflows
};

/// Numbers of one update. gradient_scale multiplies every gradient first: 1 / (sum of loss weights), times
/// the clipping factor.
struct UpdateScalars {
    bool is_made = true;  ///< false: the kernels change nothing
    double rate = 0;
    double gradient_scale = 1;
    double weight_decay = 0;
    WeightDecay decay = WeightDecay::decoupled;
    double momentum = 0;
    double beta1 = 0, beta2 = 0, epsilon = 0;
    std::int64_t step = 1;    ///< 1 for the first update: AdamW's bias correction
    double average_keep = 0;  ///< average = keep * average + (1 - keep) * weights
};

/// The factor that keeps fp16 gradients in the range of that type: the gradients of the losses are multiplied
/// by it, the optimizer divides by it. formulas/loss_scale.hpp has its rules.
struct LossScale {
    double value = 1;
    std::int64_t good_steps = 0;  ///< updates since the last change

    bool operator==(const LossScale&) const = default;
};

/// What the host says of an update before it is made.
struct UpdateOrder {
    double rate = 0;
    double votes_to_stop = 0;  ///< 1: this rank wants the run to end with this update
};

/// Of this rank, then of all together.
struct UpdateSums {
    double loss = 0;        ///< weighted sum over the labelled pixels
    double normaliser = 0;  ///< sum of the weights
    double votes_to_stop = 0;
    double bad_gradients = 0;  ///< ranks whose gradients are not finite
    double bad_states = 0;     ///< ranks whose running statistics are not
};

enum class Verdict : std::int64_t { made, bad_loss, bad_gradient, bad_states };

/// An update from the order to the verdict; lies in device memory, so that kernels decide without the host.
struct UpdateRecord {
    UpdateOrder order;  ///< first, so that it can be written alone
    UpdateSums sums;
    double norm_of_sums = 0;  ///< L2 norm of the gradients before the division by the normaliser
    Verdict verdict = Verdict::made;
    bool is_overflow = false;  ///< not made, and the loss scale was to blame: it is lower now
    double gradient_norm = 0;  ///< of the mean gradient, before clipping
    UpdateScalars scalars;
    std::int64_t updates = 0;  ///< made so far in the run
    LossScale loss_scale;      ///< of the next passes
};

/// Losses of all passes that led to an update, in device memory.
struct PassLosses {
    double* totals = nullptr;  ///< of each pass: sum, normaliser
    std::int64_t passes = 0;
    double normaliser_share = 1;  ///< multiplies the normaliser

    bool operator==(const PassLosses&) const = default;
};

/// What decides about an update, where it lies in device memory.
struct UpdateFacts {
    PassLosses losses;
    /// Sums of squares of parts of the gradients, and after how many updates each of them counts.
    const double* squares = nullptr;
    const std::int64_t* first_updates = nullptr;
    std::int64_t parts = 0;
    const double* not_finite = nullptr;  ///< how many running statistics are not, in several counts
    std::int64_t counts = 0;
};

/// One of the losses of a pass: its sum and its normaliser in device memory, and its weight in the total.
struct LossTerm {
    const double* value = nullptr;
    double weight = 1;
};

}  // namespace terrane::device
