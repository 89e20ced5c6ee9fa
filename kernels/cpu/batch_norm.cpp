#include <algorithm>

#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/norm_passes.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

/// What forward leaves to backward.
struct Kept {
    Kept(MemoryLayout& layout, const NormGeometry& geometry)
        : mean(layout.take<float>(geometry.columns)),
          factor(layout.take<float>(geometry.columns)),
          shift(layout.take<float>(geometry.columns)),
          exact_mean(layout.take<double>(geometry.channels)),
          inverse_std(layout.take<double>(geometry.channels)),
          count(layout.take<double>(1)) {}

    ForwardColumns columns() const { return {mean, factor, shift}; }

    float *mean, *factor, *shift;
    double *exact_mean, *inverse_std;
    double* count;  ///< pixels of all ranks that share the statistics
};

struct ForwardScratch {
    ForwardScratch(MemoryLayout& layout, const NormGeometry& geometry)
        : mean(layout.take<double>(geometry.channels)),
          squares(layout.take<double>(geometry.channels)),
          blocks(layout.take<double>(geometry.scratch())) {}

    double *mean, *squares, *blocks;
};

struct BackwardScratch {
    BackwardScratch(MemoryLayout& layout, const NormGeometry& geometry)
        : sums(layout.take<double>(geometry.channels)),
          products(layout.take<double>(geometry.channels)),
          along_x(layout.take<float>(geometry.columns)),
          constant(layout.take<float>(geometry.columns)),
          blocks(layout.take<double>(geometry.scratch())) {}

    double *sums, *products;
    float *along_x, *constant;
    double* blocks;
};

constexpr std::size_t x_input = 0, scale_input = 1, shift_input = 2, running_mean_input = 3,
                      running_variance_input = 4, residual_input = 5;

/// Two passes forward (statistics, application) and two backward (sums, application); with a residual the
/// sums' pass writes dz as the residual's gradient and the second pass reads that instead of dy and y.
/// Without one the ReLU's mask is computed again from x rather than read from y. In inference there is
/// no pass for statistics, and of backward (a frozen norm) the first one only if a parameter or the residual
/// wants its gradient.
template <typename T>
class BatchNormPlan final : public LoopPlan {
  public:
    explicit BatchNormPlan(const device::PlanRequest& request)
        : op_(std::get<ops::BatchNorm>(request.descriptor.op)),
          takes_batch_(request.mode == device::Mode::training),
          keeps_(wants_any_gradient(request)),
          needs_sums_(takes_batch_ || wants_gradient(request, scale_input) ||
                      wants_gradient(request, shift_input) || wants_gradient(request, residual_input)),
          geometry_(1, request.descriptor.inputs[0].shape.pixels(),
                    request.descriptor.inputs[0].shape.channels()) {
        MemoryLayout kept(nullptr), forward(nullptr), backward(nullptr);
        Kept{kept, geometry_};
        if (takes_batch_) ForwardScratch{forward, geometry_};
        BackwardScratch{backward, geometry_};
        requirements_.saved = keeps_ ? kept.used() : 0;
        requirements_.forward_workspace = forward.used() + (keeps_ ? 0 : kept.used());
        requirements_.backward_workspace = keeps_ ? backward.used() : 0;
        requirements_.gradient_terms = 2;
        if (takes_batch_ && op_.scope == ops::NormScope::synchronised) {
            requirements_.forward_exchange = 1 + 2 * geometry_.channels;
            requirements_.backward_exchange = keeps_ ? 2 * geometry_.channels : 0;
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace), saved(arguments.saved);
        if (takes_batch_) {
            const ForwardScratch scratch(workspace, geometry_);
            const Kept kept(keeps_ ? saved : workspace, geometry_);
            if (!take_statistics(arguments, kept, scratch)) return;
            normalise(arguments, kept);
        } else {
            const Kept kept(keeps_ ? saved : workspace, geometry_);
            use_running(arguments, kept);
            normalise(arguments, kept);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace), saved(arguments.saved);
        const BackwardScratch scratch(workspace, geometry_);
        const Kept kept(saved, geometry_);
        const bool residual = op_.residual == ops::Residual::yes;
        T* const dresidual = residual ? optional<T>(arguments.input_gradients[residual_input].view) : nullptr;
        const T* const x = arguments.inputs[x_input].as<T>();

        NormGradient<T> gradient;
        const device::GradientTerms& dy = arguments.output_gradients[0];
        gradient.sources = {dy[0].as<T>(), optional<T>(dy[1]), nullptr};
        gradient.terms = dy[1] ? 2 : 1;
        if (op_.rectify == ops::Rectify::yes) {
            gradient.mask = residual ? Mask::from_output : Mask::recomputed;
            if (residual) gradient.sources.output = arguments.outputs[0].as<T>();
        }

        if (needs_sums_ && arguments.phase != device::Phase::after_exchange) {
            NormPasses<T>::gradient_sums(geometry_, x, gradient, dresidual, kept.columns(), scratch.blocks,
                                         scratch.sums, scratch.products);
            write_parameter_gradients(arguments, kept, scratch);
        }
        if (arguments.phase == device::Phase::before_exchange) {
            std::copy_n(scratch.sums, geometry_.channels, arguments.exchange);
            std::copy_n(scratch.products, geometry_.channels, arguments.exchange + geometry_.channels);
            return;
        }
        const TensorView& dx = arguments.input_gradients[x_input].view;
        if (!dx) return;
        if (takes_batch_) {
            const bool exchanged = arguments.phase == device::Phase::after_exchange;
            prepare_input_gradients(kept, scratch, exchanged ? arguments.exchange : scratch.sums,
                                    exchanged ? arguments.exchange + geometry_.channels : scratch.products);
        } else {  // dx = factor * dz
            std::fill_n(scratch.along_x, geometry_.columns, 0.0f);
            std::fill_n(scratch.constant, geometry_.columns, 0.0f);
        }
        if (dresidual) gradient = {.sources = {dresidual, nullptr, nullptr}, .terms = 1, .mask = Mask::none};
        NormPasses<T>::input_gradients(geometry_, x, gradient, dx.as<T>(), kept.columns(),
                                       {scratch.along_x, scratch.constant});
    }

  private:
    /// Leaves the batch's coefficients in `kept`; false when another phase has to follow first.
    bool take_statistics(const device::ForwardArguments& arguments, const Kept& kept,
                         const ForwardScratch& scratch) const {
        double count = static_cast<double>(geometry_.pixels);
        if (arguments.phase == device::Phase::after_exchange) {
            count = arguments.exchange[0];
            receive_moments(arguments.exchange, scratch);
        } else {
            NormPasses<T>::moments(geometry_, arguments.inputs[x_input].as<T>(), scratch.blocks, scratch.mean,
                                   scratch.squares);
        }
        if (arguments.phase == device::Phase::before_exchange) {
            send_moments(scratch, count, arguments.exchange);
            return false;
        }
        use_batch(arguments, kept, scratch, count);
        return true;
    }

    void normalise(const device::ForwardArguments& arguments, const Kept& kept) const {
        const bool residual = op_.residual == ops::Residual::yes;
        NormPasses<T>::normalise(geometry_, arguments.inputs[x_input].as<T>(),
                                 residual ? arguments.inputs[residual_input].as<T>() : nullptr,
                                 op_.rectify == ops::Rectify::yes ? Tail::relu : Tail::none,
                                 arguments.outputs[0].as<T>(), kept.columns());
    }

    void send_moments(const ForwardScratch& scratch, double count, double* exchange) const {
        exchange[0] = count;
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            exchange[1 + c] = scratch.mean[c] * count;
            exchange[1 + geometry_.channels + c] =
                scratch.squares[c] + scratch.mean[c] * scratch.mean[c] * count;
        }
    }

    void receive_moments(const double* exchange, const ForwardScratch& scratch) const {
        const double count = exchange[0];
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            const formulas::Moments moments =
                formulas::moments_from_sums(exchange[1 + c], exchange[1 + geometry_.channels + c], count);
            scratch.mean[c] = moments.mean;
            scratch.squares[c] = moments.variance * count;
        }
    }

    void use_batch(const device::ForwardArguments& arguments, const Kept& kept, const ForwardScratch& scratch,
                   double count) const {
        float* const running_mean = arguments.inputs[running_mean_input].as<float>();
        float* const running_variance = arguments.inputs[running_variance_input].as<float>();
        *kept.count = count;
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            const double variance = scratch.squares[c] / count;
            kept.exact_mean[c] = scratch.mean[c];
            kept.inverse_std[c] = formulas::inverse_deviation(variance, op_.epsilon);
            running_mean[c] =
                static_cast<float>(formulas::running_value(running_mean[c], scratch.mean[c], op_.momentum));
            running_variance[c] = static_cast<float>(formulas::running_value(
                running_variance[c], formulas::unbiased(variance, count), op_.momentum));
        }
        prepare_columns(arguments, kept);
    }

    void use_running(const device::ForwardArguments& arguments, const Kept& kept) const {
        const float* const mean = arguments.inputs[running_mean_input].as<float>();
        const float* const variance = arguments.inputs[running_variance_input].as<float>();
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            kept.exact_mean[c] = mean[c];
            kept.inverse_std[c] = formulas::inverse_deviation(variance[c], op_.epsilon);
        }
        prepare_columns(arguments, kept);
    }

    void prepare_columns(const device::ForwardArguments& arguments, const Kept& kept) const {
        const float* const scale = arguments.inputs[scale_input].as<float>();
        const float* const shift = arguments.inputs[shift_input].as<float>();
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            const auto norm =
                formulas::norm_forward<float>(kept.exact_mean[c], kept.inverse_std[c], scale[c], shift[c]);
            kept.mean[c] = norm.mean;
            kept.factor[c] = norm.factor;
            kept.shift[c] = norm.shift;
        }
        repeat_columns(geometry_, kept.mean);
        repeat_columns(geometry_, kept.factor);
        repeat_columns(geometry_, kept.shift);
    }

    /// Turns the sums of dz * (x - rounded mean) into dscale, in place, and hands out dscale and dshift.
    void write_parameter_gradients(const device::BackwardArguments& arguments, const Kept& kept,
                                   const BackwardScratch& scratch) const {
        const device::GradientTarget& dscale = arguments.input_gradients[scale_input];
        const device::GradientTarget& dshift = arguments.input_gradients[shift_input];
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            const double cut_off = kept.exact_mean[c] - static_cast<double>(kept.mean[c]);
            scratch.products[c] = kept.inverse_std[c] * (scratch.products[c] - cut_off * scratch.sums[c]);
            if (dscale.view) put(dscale.view.as<float>()[c], scratch.products[c], dscale.write);
            if (dshift.view) put(dshift.view.as<float>()[c], scratch.sums[c], dshift.write);
        }
    }

    void prepare_input_gradients(const Kept& kept, const BackwardScratch& scratch, const double* dshift,
                                 const double* dscale) const {
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            const double scale = static_cast<double>(kept.factor[c]) / kept.inverse_std[c];
            const auto slope = formulas::norm_backward<float>(kept.exact_mean[c], kept.inverse_std[c], scale,
                                                              scale * dshift[c] / *kept.count,
                                                              scale * dscale[c] / *kept.count);
            scratch.along_x[c] = slope.along_x;
            scratch.constant[c] = slope.constant;
        }
        repeat_columns(geometry_, scratch.along_x);
        repeat_columns(geometry_, scratch.constant);
    }

    ops::BatchNorm op_;
    bool takes_batch_;  ///< statistics of the batch rather than the running ones
    bool keeps_;
    bool needs_sums_;  ///< whether backward's first pass is needed
    NormGeometry geometry_;
};

}  // namespace

Offer make_batch_norm(const device::PlanRequest& request) {
    return offer_by_type<BatchNormPlan>(request);
}

}  // namespace terrane::cpu
