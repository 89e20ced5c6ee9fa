#include <algorithm>

#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/norm_passes.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

/// What forward leaves to backward: columns per sample, statistics per sample and group.
struct Kept {
    Kept(MemoryLayout& layout, const NormGeometry& geometry, std::int64_t groups)
        : mean(layout.take<float>(geometry.segments * geometry.columns)),
          factor(layout.take<float>(geometry.segments * geometry.columns)),
          shift(layout.take<float>(geometry.segments * geometry.columns)),
          exact_mean(layout.take<double>(geometry.segments * groups)),
          inverse_std(layout.take<double>(geometry.segments * groups)) {}

    ForwardColumns columns() const { return {mean, factor, shift}; }

    float *mean, *factor, *shift;
    double *exact_mean, *inverse_std;
};

struct ForwardScratch {
    ForwardScratch(MemoryLayout& layout, const NormGeometry& geometry)
        : mean(layout.take<double>(geometry.segments * geometry.channels)),
          squares(layout.take<double>(geometry.segments * geometry.channels)),
          blocks(layout.take<double>(geometry.scratch())) {}

    double *mean, *squares, *blocks;
};

struct BackwardScratch {
    BackwardScratch(MemoryLayout& layout, const NormGeometry& geometry)
        : sums(layout.take<double>(geometry.segments * geometry.channels)),
          products(layout.take<double>(geometry.segments * geometry.channels)),
          along_x(layout.take<float>(geometry.segments * geometry.columns)),
          constant(layout.take<float>(geometry.segments * geometry.columns)),
          blocks(layout.take<double>(geometry.scratch())) {}

    double *sums, *products;
    float *along_x, *constant;
    double* blocks;
};

constexpr std::size_t x_input = 0, scale_input = 1, shift_input = 2, residual_input = 3;

/// Batch norm's passes with one segment per sample; the sums of a group's channels are added up between them.
template <typename T>
class GroupNormPlan final : public LoopPlan {
  public:
    explicit GroupNormPlan(const device::PlanRequest& request)
        : op_(std::get<ops::GroupNorm>(request.descriptor.op)),
          keeps_(wants_any_gradient(request)),
          geometry_(request.descriptor.inputs[0].shape.batch(),
                    request.descriptor.inputs[0].shape.height() * request.descriptor.inputs[0].shape.width(),
                    request.descriptor.inputs[0].shape.channels()),
          group_channels_(geometry_.channels / op_.groups) {
        MemoryLayout kept(nullptr), forward(nullptr), backward(nullptr);
        Kept{kept, geometry_, op_.groups};
        ForwardScratch{forward, geometry_};
        BackwardScratch{backward, geometry_};
        requirements_.saved = keeps_ ? kept.used() : 0;
        requirements_.forward_workspace = forward.used() + (keeps_ ? 0 : kept.used());
        requirements_.backward_workspace = keeps_ ? backward.used() : 0;
        requirements_.gradient_terms = 2;
    }

    void forward(const device::ForwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace), saved(arguments.saved);
        const ForwardScratch scratch(workspace, geometry_);
        const Kept kept(keeps_ ? saved : workspace, geometry_, op_.groups);
        const T* const x = arguments.inputs[x_input].as<T>();
        NormPasses<T>::moments(geometry_, x, scratch.blocks, scratch.mean, scratch.squares);
        for (std::int64_t sample = 0; sample < geometry_.segments; ++sample) {
            for (std::int64_t group = 0; group < op_.groups; ++group) {
                prepare_group(arguments, kept, scratch, sample, group);
            }
            const std::int64_t at = sample * geometry_.columns;
            repeat_columns(geometry_, kept.mean + at);
            repeat_columns(geometry_, kept.factor + at);
            repeat_columns(geometry_, kept.shift + at);
        }
        const bool residual = op_.residual == ops::Residual::yes;
        NormPasses<T>::normalise(geometry_, x, residual ? arguments.inputs[residual_input].as<T>() : nullptr,
                                 tail(), arguments.outputs[0].as<T>(), kept.columns());
    }

    void backward(const device::BackwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace), saved(arguments.saved);
        const BackwardScratch scratch(workspace, geometry_);
        const Kept kept(saved, geometry_, op_.groups);
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
        if (op_.silu == ops::Silu::yes) gradient.mask = Mask::silu;
        NormPasses<T>::gradient_sums(geometry_, x, gradient, dresidual, kept.columns(), scratch.blocks,
                                     scratch.sums, scratch.products);
        finish_products(kept, scratch);
        write_parameter_gradients(arguments, scratch);

        const TensorView& dx = arguments.input_gradients[x_input].view;
        if (!dx) return;
        prepare_input_gradients(arguments.inputs[scale_input].as<float>(), kept, scratch);
        if (dresidual) gradient = {.sources = {dresidual, nullptr, nullptr}, .terms = 1, .mask = Mask::none};
        NormPasses<T>::input_gradients(geometry_, x, gradient, dx.as<T>(), kept.columns(),
                                       {scratch.along_x, scratch.constant});
    }

  private:
    Tail tail() const {
        if (op_.silu == ops::Silu::yes) return Tail::silu;
        return op_.rectify == ops::Rectify::yes ? Tail::relu : Tail::none;
    }

    void prepare_group(const device::ForwardArguments& arguments, const Kept& kept,
                       const ForwardScratch& scratch, std::int64_t sample, std::int64_t group) const {
        const std::int64_t first = group * group_channels_;
        const double* const means = scratch.mean + sample * geometry_.channels + first;
        const double* const squares = scratch.squares + sample * geometry_.channels + first;
        const double pixels = static_cast<double>(geometry_.pixels);
        double mean = 0, square = 0;
        for (std::int64_t c = 0; c < group_channels_; ++c) mean += means[c];
        mean /= static_cast<double>(group_channels_);
        for (std::int64_t c = 0; c < group_channels_; ++c) {
            square += squares[c] + pixels * (means[c] - mean) * (means[c] - mean);
        }
        const double variance = square / (pixels * static_cast<double>(group_channels_));
        const double inverse_std = formulas::inverse_deviation(variance, op_.epsilon);
        kept.exact_mean[sample * op_.groups + group] = mean;
        kept.inverse_std[sample * op_.groups + group] = inverse_std;
        const float* const scale = arguments.inputs[scale_input].as<float>() + first;
        const float* const shift = arguments.inputs[shift_input].as<float>() + first;
        for (std::int64_t c = 0; c < group_channels_; ++c) {
            const auto norm = formulas::norm_forward<float>(mean, inverse_std, scale[c], shift[c]);
            const std::int64_t at = sample * geometry_.columns + first + c;
            kept.mean[at] = norm.mean;
            kept.factor[at] = norm.factor;
            kept.shift[at] = norm.shift;
        }
    }

    /// Turns the sums of dz * (x - rounded mean) into sums of dz * xhat, in place.
    void finish_products(const Kept& kept, const BackwardScratch& scratch) const {
        for (std::int64_t sample = 0; sample < geometry_.segments; ++sample) {
            for (std::int64_t c = 0; c < geometry_.channels; ++c) {
                const std::int64_t group = sample * op_.groups + c / group_channels_;
                const std::int64_t at = sample * geometry_.channels + c;
                const double rounded = static_cast<double>(kept.mean[sample * geometry_.columns + c]);
                const double cut_off = kept.exact_mean[group] - rounded;
                scratch.products[at] =
                    kept.inverse_std[group] * (scratch.products[at] - cut_off * scratch.sums[at]);
            }
        }
    }

    void write_parameter_gradients(const device::BackwardArguments& arguments,
                                   const BackwardScratch& scratch) const {
        const device::GradientTarget& dscale = arguments.input_gradients[scale_input];
        const device::GradientTarget& dshift = arguments.input_gradients[shift_input];
        for (std::int64_t c = 0; c < geometry_.channels; ++c) {
            double sum = 0, product = 0;
            for (std::int64_t sample = 0; sample < geometry_.segments; ++sample) {
                sum += scratch.sums[sample * geometry_.channels + c];
                product += scratch.products[sample * geometry_.channels + c];
            }
            if (dscale.view) put(dscale.view.as<float>()[c], product, dscale.write);
            if (dshift.view) put(dshift.view.as<float>()[c], sum, dshift.write);
        }
    }

    void prepare_input_gradients(const float* scale, const Kept& kept, const BackwardScratch& scratch) const {
        const double count = static_cast<double>(geometry_.pixels * group_channels_);
        for (std::int64_t sample = 0; sample < geometry_.segments; ++sample) {
            for (std::int64_t group = 0; group < op_.groups; ++group) {
                const std::int64_t first = group * group_channels_;
                const std::int64_t from = sample * geometry_.channels + first;
                double sum = 0, product = 0;
                for (std::int64_t c = 0; c < group_channels_; ++c) {
                    sum += static_cast<double>(scale[first + c]) * scratch.sums[from + c];
                    product += static_cast<double>(scale[first + c]) * scratch.products[from + c];
                }
                const std::int64_t statistics = sample * op_.groups + group;
                const auto slope =
                    formulas::norm_backward<float>(kept.exact_mean[statistics], kept.inverse_std[statistics],
                                                   1.0, sum / count, product / count);
                float* const along_x = scratch.along_x + sample * geometry_.columns + first;
                float* const constant = scratch.constant + sample * geometry_.columns + first;
                std::fill_n(along_x, group_channels_, slope.along_x);
                std::fill_n(constant, group_channels_, slope.constant);
            }
            repeat_columns(geometry_, scratch.along_x + sample * geometry_.columns);
            repeat_columns(geometry_, scratch.constant + sample * geometry_.columns);
        }
    }

    ops::GroupNorm op_;
    bool keeps_;
    NormGeometry geometry_;
    std::int64_t group_channels_;
};

}  // namespace

Offer make_group_norm(const device::PlanRequest& request) {
    return offer_by_type<GroupNormPlan>(request);
}

}  // namespace terrane::cpu
