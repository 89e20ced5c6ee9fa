#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ops/op.hpp"

namespace terrane::device {

enum class Mode { training, inference };

/// Scalars that change from step to step while all addresses stay. On a device they live in device memory, so
/// that a captured step can be replayed.
struct StepState {
    std::uint64_t seed = 0;
    std::int64_t step = 0;          ///< optimizer step
    std::int64_t first_sample = 0;  ///< index of this rank's first sample within the step's global batch
    std::int64_t pass_first = 0;    ///< index of the first sample that any rank runs in this pass
    std::int64_t pass_samples =
        0;  ///< samples that all ranks run together in this pass; 0: this rank is alone
};

/// What is asked of a backend: the op, and which inputs' gradients the backward pass must produce (all false,
/// or empty, for inference and for parts without trainable parameters upstream: then nothing is saved and
/// backward never runs).
struct PlanRequest {
    const ops::OpDescriptor& descriptor;
    Mode mode = Mode::training;
    std::vector<bool> gradient_wanted;
};

/// Memory and services a plan needs; fixed when the plan is made.
struct Requirements {
    std::size_t saved = 0;               ///< bytes kept from forward to backward
    std::size_t forward_workspace = 0;   ///< scratch bytes during forward
    std::size_t backward_workspace = 0;  ///< scratch bytes during backward
    std::size_t persistent = 0;          ///< bytes the plan owns for the life of the program (packed weights)
    std::int64_t forward_exchange =
        0;  ///< doubles summed over all ranks in the middle of forward; 0: no exchange
    std::int64_t backward_exchange =
        0;                   ///< doubles summed over all ranks in the middle of backward; 0: no exchange
    int gradient_terms = 1;  ///< how many separate terms of dy backward can add up while reading (1 or 2)
};

/// Which part of a pass to run. A pass without exchange is run whole. With one, `before_exchange` writes this
/// rank's sums to `exchange`, the program sums them over the ranks, `after_exchange` reads them.
enum class Phase { whole, before_exchange, after_exchange };

struct ForwardArguments {
    std::span<const TensorView>
        inputs;  ///< in the op's order; states (running statistics, confusion) are written
    std::span<const TensorView> outputs;
    std::byte* saved = nullptr;
    std::byte* workspace = nullptr;
    std::byte* persistent = nullptr;
    double* exchange = nullptr;
    const StepState* step = nullptr;  ///< in device memory
    Phase phase = Phase::whole;
};

/// Gradient of an output: the sum of its terms. The second view is null unless the plan asked for two terms.
using GradientTerms = std::array<TensorView, 2>;

enum class GradientWrite { overwrite, accumulate };

/// Where the gradient of an input goes; null if it is not wanted. Gradients of activations are always
/// overwritten and have the activation's type; gradients of parameters are f32 (f64 in double-precision
/// programs) and are accumulated over micro-steps.
struct GradientTarget {
    TensorView view;
    GradientWrite write = GradientWrite::overwrite;
};

struct BackwardArguments {
    std::span<const TensorView> inputs;   ///< values; null where the op's BackwardNeeds do not list them
    std::span<const TensorView> outputs;  ///< likewise
    std::span<const GradientTerms>
        output_gradients;  ///< empty terms for losses: their seed is the op's loss_weight
    std::span<const GradientTarget> input_gradients;
    std::byte* saved = nullptr;
    std::byte* workspace = nullptr;
    std::byte* persistent = nullptr;
    double* exchange = nullptr;
    const StepState* step = nullptr;  ///< in device memory
    Phase phase = Phase::whole;
};

/// One op made ready to run: everything is chosen, searched and sized by the constructor; the run functions
/// allocate nothing and synchronise with nobody. The only virtual interface of an op. Memory is passed in
/// with each call, so that the program owns and plans all of it.
class OpPlan {
  public:
    virtual ~OpPlan() = default;

    const Requirements& requirements() const { return requirements_; }
    /// What will run, for `inspect` and reports: "dnnl:brgconv:avx512_core", "ref".
    virtual std::string implementation() const = 0;

    virtual void forward(const ForwardArguments& arguments) = 0;
    /// Never called when no gradient is wanted.
    virtual void backward(const BackwardArguments& arguments) = 0;
    /// Called once before the first run and after every change of the parameters among `inputs` (activations
    /// are null): packs weights into `persistent`.
    virtual void on_parameters_changed(std::span<const TensorView> inputs, std::byte* persistent);

  protected:
    Requirements requirements_;
};

inline void OpPlan::on_parameters_changed(std::span<const TensorView>, std::byte*) {}

}  // namespace terrane::device
