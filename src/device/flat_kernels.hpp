#pragma once

#include <cstdint>
#include <span>

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

    bool is_frozen(std::int64_t step) const { return step <= first_step; }  ///< step as in UpdateScalars
};

/// How AdamW's kernel applies weight decay: to the weights (Loshchilov and Hutter 2019), or added to the
/// gradient before the moments (plain Adam with L2).
enum class WeightDecay { decoupled, coupled };

/// Scalars of one optimizer step. gradient_scale multiplies every gradient first: 1 / (sum of loss weights),
/// times the clipping factor.
struct UpdateScalars {
    double rate = 0;
    double gradient_scale = 1;
    double weight_decay = 0;
    WeightDecay decay = WeightDecay::decoupled;  ///< AdamW
    double momentum = 0;                         ///< SGD
    double beta1 = 0, beta2 = 0, epsilon = 0;    ///< AdamW
    std::int64_t step = 1;                       ///< 1 for the first update: AdamW's bias correction
};

/// Everything that runs over the flat parameter buffers. One pass each; results do not depend on the thread
/// count.
class FlatKernels {
  public:
    virtual ~FlatKernels() = default;

    /// SGD with momentum as in PyTorch: g += decay * w; v = momentum * v + g; w -= rate * v.
    virtual void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
                     std::span<const UpdateSegment> segments, const UpdateScalars& scalars) = 0;

    /// AdamW (Loshchilov and Hutter 2019, numbers as in PyTorch): w *= 1 - rate * decay; m, v running
    /// moments; w -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon). With coupled decay it
    /// is PyTorch's Adam: g += decay * w instead of the first step.
    virtual void adamw(std::span<float> parameters, std::span<const float> gradients,
                       std::span<float> moment1, std::span<float> moment2,
                       std::span<const UpdateSegment> segments, const UpdateScalars& scalars) = 0;

    /// Sum of squares, accumulated in double over blocks of fixed size.
    virtual double sum_of_squares(std::span<const float> values) = 0;

    /// average = keep * average + (1 - keep) * values.
    virtual void blend(std::span<float> average, std::span<const float> values, double keep) = 0;

    /// sum += values.
    virtual void add(std::span<float> sum, std::span<const float> values) = 0;

    /// Exchanges the contents of two buffers of equal length.
    virtual void exchange(std::span<float> a, std::span<float> b) = 0;

    /// Whether any value is infinite or not a number.
    virtual bool any_not_finite(std::span<const float> values) = 0;
};

}  // namespace terrane::device
