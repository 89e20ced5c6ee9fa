// Normalisation within a sample: groups of channels (group norm), one position's channels (layer norm).
#include "formulas/activation.hpp"
#include "formulas/norm.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

/// The elements that share statistics: `pixels` runs of `channels` neighbours, `stride` apart.
struct Block {
    std::int64_t first, pixels, stride, channels;

    template <typename Visit>
    void for_each(Visit visit) const {
        for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
            for (std::int64_t c = 0; c < channels; ++c) visit(first + pixel * stride + c, c);
        }
    }
    double count() const { return static_cast<double>(pixels * channels); }
};

struct Statistics {
    double mean, inverse_std;
};

template <typename T>
Statistics statistics_of(const Block& block, const Reader<T>& x, double epsilon) {
    double sum = 0, squares = 0;
    block.for_each([&](std::int64_t i, std::int64_t) { sum += x[i]; });
    const double mean = sum / block.count();
    block.for_each([&](std::int64_t i, std::int64_t) { squares += (x[i] - mean) * (x[i] - mean); });
    return {mean, formulas::inverse_deviation(squares / block.count(), epsilon)};
}

/// dx of one block; dz(i) gives the gradient behind the ReLU, scale(c) the block's c-th scale.
template <typename T, typename Gradient, typename Scale>
void block_gradient(const Block& block, const Reader<T>& x, const Statistics& statistics, Gradient dz,
                    Scale scale, const GradientWriter& dx) {
    double sum_g = 0, sum_g_xhat = 0;
    block.for_each([&](std::int64_t i, std::int64_t c) {
        const double g = scale(c) * dz(i);
        sum_g += g;
        sum_g_xhat += g * (x[i] - statistics.mean) * statistics.inverse_std;
    });
    block.for_each([&](std::int64_t i, std::int64_t c) {
        const auto norm = formulas::norm_backward<double>(statistics.mean, statistics.inverse_std, scale(c),
                                                          sum_g / block.count(), sum_g_xhat / block.count());
        dx.store(i, norm.apply(x[i], dz(i)));
    });
}

template <typename T>
class GroupNormPlan final : public RefPlan<ops::GroupNorm> {
  public:
    GroupNormPlan(const ops::GroupNorm& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          area_(input_shape(0).pixels() / input_shape(0).batch()),
          channels_(input_shape(0).channels()),
          group_(channels_ / op.groups) {
        if (smooth() && trains()) requirements_.saved = bytes_of_doubles(input_shape(0).elements());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader scale(arguments.inputs[1]), shift(arguments.inputs[2]);
        const Writer<T> y(arguments.outputs[0]);
        for_each_block([&](const Block& block, std::int64_t channel) {
            const Statistics statistics = statistics_of(block, x, op_.epsilon);
            block.for_each([&](std::int64_t i, std::int64_t c) {
                double value = formulas::norm_forward<double>(statistics.mean, statistics.inverse_std,
                                                              scale[channel + c], shift[channel + c])
                                   .apply(x[i]);
                if (op_.residual == ops::Residual::yes) value += Reader<T>(arguments.inputs[3])[i];
                if (op_.rectify == ops::Rectify::yes && !(value > 0)) value = 0;
                if (smooth() && trains()) doubles(arguments.saved)[i] = value;
                y.store(i, smooth() ? formulas::activate<ops::ActivationKind::silu>(value) : value);
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const auto dz = [&](std::int64_t i) {
            if (smooth()) {
                const double before = doubles(arguments.saved)[i];
                return dy[i] * formulas::activation_slope<ops::ActivationKind::silu>(before);
            }
            const bool passes = op_.rectify == ops::Rectify::no || Reader<T>(arguments.outputs[0])[i] > 0;
            return passes ? dy[i] : 0.0;
        };
        if (const GradientWriter dx(arguments.input_gradients[0]); dx) {
            const AnyReader scale(arguments.inputs[1]);
            for_each_block([&](const Block& block, std::int64_t channel) {
                block_gradient(
                    block, x, statistics_of(block, x, op_.epsilon), dz,
                    [&](std::int64_t c) { return scale[channel + c]; }, dx);
            });
        }
        parameter_gradients(arguments, x, dz);
        if (op_.residual == ops::Residual::no) return;
        if (const GradientWriter dresidual(arguments.input_gradients[3]); dresidual) {
            for (std::int64_t i = 0; i < input_shape(0).elements(); ++i) dresidual.store(i, dz(i));
        }
    }

  private:
    bool smooth() const { return op_.silu == ops::Silu::yes; }

    template <typename Visit>
    void for_each_block(Visit visit) const {
        for (std::int64_t n = 0; n < input_shape(0).batch(); ++n) {
            for (std::int64_t channel = 0; channel < channels_; channel += group_) {
                visit(Block{n * area_ * channels_ + channel, area_, channels_, group_}, channel);
            }
        }
    }

    template <typename Gradient>
    void parameter_gradients(const device::BackwardArguments& arguments, const Reader<T>& x,
                             Gradient dz) const {
        const GradientWriter dscale_target(arguments.input_gradients[1]);
        const GradientWriter dshift_target(arguments.input_gradients[2]);
        if (!dscale_target && !dshift_target) return;
        for (std::int64_t channel = 0; channel < channels_; ++channel) {
            double dscale = 0, dshift = 0;
            for (std::int64_t n = 0; n < input_shape(0).batch(); ++n) {
                const std::int64_t first = n * area_ * channels_;
                const Block group{first + channel / group_ * group_, area_, channels_, group_};
                const Statistics statistics = statistics_of(group, x, op_.epsilon);
                Block{first + channel, area_, channels_, 1}.for_each([&](std::int64_t i, std::int64_t) {
                    dscale += dz(i) * (x[i] - statistics.mean) * statistics.inverse_std;
                    dshift += dz(i);
                });
            }
            if (dscale_target) dscale_target.store(channel, dscale);
            if (dshift_target) dshift_target.store(channel, dshift);
        }
    }

    std::int64_t area_, channels_, group_;
};

template <typename T>
class LayerNormPlan final : public RefPlan<ops::LayerNorm> {
  public:
    LayerNormPlan(const ops::LayerNorm& op, const device::PlanRequest& request)
        : RefPlan(op, request), rows_(input_shape(0).pixels()), channels_(input_shape(0).channels()) {
        requirements_.backward_workspace = bytes_of_doubles(2 * channels_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader scale(arguments.inputs[1]), shift(arguments.inputs[2]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t row = 0; row < rows_; ++row) {
            const Block block = block_of(row);
            const Statistics statistics = statistics_of(block, x, op_.epsilon);
            block.for_each([&](std::int64_t i, std::int64_t c) {
                y.store(i, formulas::norm_forward<double>(statistics.mean, statistics.inverse_std, scale[c],
                                                          shift[c])
                               .apply(x[i]));
            });
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader scale(arguments.inputs[1]);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const GradientWriter dx(arguments.input_gradients[0]);
        double* dscale = doubles(arguments.workspace);
        double* dshift = dscale + channels_;
        std::fill(dscale, dscale + 2 * channels_, 0.0);
        for (std::int64_t row = 0; row < rows_; ++row) {
            const Block block = block_of(row);
            const Statistics statistics = statistics_of(block, x, op_.epsilon);
            block.for_each([&](std::int64_t i, std::int64_t c) {
                dscale[c] += dy[i] * (x[i] - statistics.mean) * statistics.inverse_std;
                dshift[c] += dy[i];
            });
            if (!dx) continue;
            block_gradient(
                block, x, statistics, [&](std::int64_t i) { return dy[i]; },
                [&](std::int64_t c) { return scale[c]; }, dx);
        }
        const GradientWriter dscale_target(arguments.input_gradients[1]);
        const GradientWriter dshift_target(arguments.input_gradients[2]);
        for (std::int64_t c = 0; c < channels_; ++c) {
            if (dscale_target) dscale_target.store(c, dscale[c]);
            if (dshift_target) dshift_target.store(c, dshift[c]);
        }
    }

  private:
    Block block_of(std::int64_t row) const { return {row * channels_, 1, channels_, channels_}; }

    std::int64_t rows_, channels_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::GroupNorm& op, const device::PlanRequest& request) {
    return make_typed<GroupNormPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::LayerNorm& op, const device::PlanRequest& request) {
    return make_typed<LayerNormPlan>(op, request);
}

}  // namespace terrane::ref
