// Group normalisation: statistics per sample and group of channels.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/activation.hpp"
#include "formulas/norm.hpp"

namespace terrane::cuda {

namespace {

using Forward = formulas::NormForward<float>;
using Backward = formulas::NormBackward<float>;

struct Statistics {
    double mean, inverse_std;
};

/// Which elements share statistics: group `index` is group index % groups of sample index / groups.
struct Groups {
    std::int64_t samples, area, channels, groups;

    TERRANE_HOST_DEVICE std::int64_t width() const { return channels / groups; }
    TERRANE_HOST_DEVICE std::int64_t channel(std::int64_t group, std::int64_t item) const {
        return group % groups * width() + item % width();
    }
    TERRANE_HOST_DEVICE std::int64_t element(std::int64_t group, std::int64_t item) const {
        return (group / groups * area + item / width()) * channels + channel(group, item);
    }
    TERRANE_HOST_DEVICE std::int64_t group_of(std::int64_t sample, std::int64_t c) const {
        return sample * groups + c / width();
    }
};

template <typename T>
struct MomentSums {
    static constexpr int sums = 2;
    const T* x;
    Groups groups;
    double epsilon;
    Statistics* statistics;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[2]) const {
        const double value = static_cast<double>(static_cast<float>(x[groups.element(group, item)]));
        own[0] += value;
        own[1] += value * value;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[2]) const {
        const auto moments = formulas::moments_from_sums(total[0], total[1],
                                                         static_cast<double>(groups.area * groups.width()));
        statistics[group] = {moments.mean, formulas::inverse_deviation(moments.variance, epsilon)};
    }
};

struct FindForward {
    const Statistics* statistics;
    const float *scale, *shift;
    Groups groups;
    Forward* coefficients;  ///< [samples, channels]

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t c = i % groups.channels;
        const Statistics own = statistics[groups.group_of(i / groups.channels, c)];
        coefficients[i] = formulas::norm_forward<float>(
            own.mean, own.inverse_std, static_cast<double>(scale[c]), static_cast<double>(shift[c]));
    }
};

enum class Tail { none, rectify, silu };

template <typename T>
struct NormPass {
    const T *x, *residual;
    T* y;
    const Forward* coefficients;
    std::int64_t area, channels;
    Tail tail;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        const std::int64_t first = row * channels + column;
        const Forward* own = coefficients + row / area * channels + column;
        float values[width];
        load<width>(x, first, values);
        for (int i = 0; i < width; ++i) values[i] = own[i].apply(values[i]);
        if (residual != nullptr) {
            float more[width];
            load<width>(residual, first, more);
            for (int i = 0; i < width; ++i) values[i] += more[i];
        }
        for (float& value : values) {
            if (tail == Tail::rectify && !(value > 0)) value = 0;
            if (tail == Tail::silu) value = formulas::activate<ops::ActivationKind::silu>(value);
        }
        store<width>(y, first, values);
    }
};

/// The gradient behind the fused tail.
template <typename T>
struct TailGradient {
    Terms<T> dy;
    const T *x, *y;  ///< y: null unless rectified
    const Forward* coefficients;
    std::int64_t area, channels;
    Tail tail;

    TERRANE_HOST_DEVICE float through(float gradient, std::int64_t i, std::int64_t sample,
                                      std::int64_t c) const {
        if (tail == Tail::rectify) return static_cast<float>(y[i]) > 0 ? gradient : 0.0f;
        if (tail == Tail::none) return gradient;
        const float before = coefficients[sample * channels + c].apply(static_cast<float>(x[i]));
        return gradient * formulas::activation_slope<ops::ActivationKind::silu>(before);
    }
    TERRANE_HOST_DEVICE float at(std::int64_t i, std::int64_t sample, std::int64_t c) const {
        return through(dy[i], i, sample, c);
    }
    template <int width>
    TERRANE_HOST_DEVICE void read(std::int64_t row, std::int64_t column, float (&gradients)[width]) const {
        const std::int64_t first = row * channels + column;
        dy.template read<width>(first, gradients);
        for (int i = 0; i < width; ++i)
            gradients[i] = through(gradients[i], first + i, row / area, column + i);
    }
};

/// Means of g and g * xhat per group, g = scale * dz; leaves the coefficients of dx.
template <typename T>
struct GroupGradientSums {
    static constexpr int sums = 2;
    TailGradient<T> dz;
    const Statistics* statistics;
    const float* scale;
    Groups groups;
    Statistics* means;  ///< of g and of g * xhat

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[2]) const {
        const std::int64_t i = groups.element(group, item), c = groups.channel(group, item);
        const double g =
            static_cast<double>(scale[c]) * static_cast<double>(dz.at(i, group / groups.groups, c));
        own[0] += g;
        own[1] += g * (static_cast<double>(static_cast<float>(dz.x[i])) - statistics[group].mean);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[2]) const {
        const double count = static_cast<double>(groups.area * groups.width());
        means[group] = {total[0] / count, total[1] * statistics[group].inverse_std / count};
    }
};

struct FindBackward {
    const Statistics *statistics, *means;
    const float* scale;
    Groups groups;
    Backward* coefficients;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t c = i % groups.channels, group = groups.group_of(i / groups.channels, c);
        coefficients[i] = formulas::norm_backward<float>(
            statistics[group].mean, statistics[group].inverse_std, static_cast<double>(scale[c]),
            means[group].mean, means[group].inverse_std);
    }
};

template <typename T>
struct GradientPass {
    TailGradient<T> dz;
    T *dx, *dresidual;
    const Backward* coefficients;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        const std::int64_t first = row * dz.channels + column;
        float gradients[width];
        dz.template read<width>(row, column, gradients);
        if (dresidual != nullptr) store<width>(dresidual, first, gradients);
        if (dx == nullptr) return;
        const Backward* own = coefficients + row / dz.area * dz.channels + column;
        float values[width];
        load<width>(dz.x, first, values);
        for (int i = 0; i < width; ++i) values[i] = own[i].apply(values[i], gradients[i]);
        store<width>(dx, first, values);
    }
};

template <typename T>
struct ParameterSums {
    static constexpr int sums = 2;
    TailGradient<T> dz;
    const Statistics* statistics;
    Groups groups;
    ParameterGradient dscale, dshift;

    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t row, std::int64_t column, double (&own)[2][width]) const {
        float gradients[width], values[width];
        dz.template read<width>(row, column, gradients);
        load<width>(dz.x, row * groups.channels + column, values);
        for (int i = 0; i < width; ++i) {
            const Statistics group = statistics[groups.group_of(row / groups.area, column + i)];
            const double gradient = static_cast<double>(gradients[i]);
            own[0][i] += gradient;
            own[1][i] += gradient * (static_cast<double>(values[i]) - group.mean) * group.inverse_std;
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t c, const double (&total)[2]) const {
        dshift.store(c, total[0]);
        dscale.store(c, total[1]);
    }
};

/// Saved: the groups' statistics and the coefficients of forward.
template <typename T>
class GroupNormPlan final : public KernelPlan<ops::GroupNorm> {
  public:
    GroupNormPlan(const ops::GroupNorm& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          groups_{input_shape(0).batch(), input_shape(0).pixels() / input_shape(0).batch(),
                  input_shape(0).channels(), op.groups},
          sums_(groups_.samples * op.groups, groups_.area * groups_.width()),
          columns_(input_shape(0).pixels(), groups_.channels),
          tail_(op.silu == ops::Silu::yes         ? Tail::silu
                : op.rectify == ops::Rectify::yes ? Tail::rectify
                                                  : Tail::none) {
        const std::size_t kept = carved<Statistics>(sums_.groups) + carved<Forward>(coefficients());
        requirements_.forward_workspace = sums_.bytes(2) + (trains() ? 0 : kept);
        if (!trains()) return;
        requirements_.saved = kept;
        requirements_.backward_workspace = carved<Statistics>(sums_.groups) +
                                           carved<Backward>(coefficients()) +
                                           std::max(sums_.bytes(2), columns_.bytes(2));
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        Carver& kept = trains() ? saved : workspace;
        auto* statistics = kept.take<Statistics>(sums_.groups);
        auto* found = kept.take<Forward>(coefficients());
        auto* partials = workspace.take_doubles(sums_.bytes(2));
        const T* x = arguments.inputs[0].as<T>();
        launch_sums(queue_, sums_, partials, MomentSums<T>{x, groups_, op_.epsilon, statistics});
        launch(queue_, coefficients(),
               FindForward{statistics, arguments.inputs[1].as<float>(), arguments.inputs[2].as<float>(),
                           groups_, found});
        const T* residual = op_.residual == ops::Residual::yes ? arguments.inputs[3].as<T>() : nullptr;
        launch_rows<T>(queue_, input_shape(0).pixels(), groups_.channels,
                       NormPass<T>{x, residual, arguments.outputs[0].as<T>(), found, groups_.area,
                                   groups_.channels, tail_});
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        const auto* statistics = saved.take<Statistics>(sums_.groups);
        const auto* found = saved.take<Forward>(coefficients());
        auto* means = workspace.take<Statistics>(sums_.groups);
        auto* back = workspace.take<Backward>(coefficients());
        auto* partials = workspace.take_doubles(0);
        const TailGradient<T> dz{terms_of<T>(arguments.output_gradients[0]),
                                 arguments.inputs[0].as<T>(),
                                 tail_ == Tail::rectify ? arguments.outputs[0].as<T>() : nullptr,
                                 found,
                                 groups_.area,
                                 groups_.channels,
                                 tail_};
        const auto* scale = arguments.inputs[1].as<float>();
        const TensorView& dx = arguments.input_gradients[0].view;
        if (dx) {
            launch_sums(queue_, sums_, partials, GroupGradientSums<T>{dz, statistics, scale, groups_, means});
            launch(queue_, coefficients(), FindBackward{statistics, means, scale, groups_, back});
        }
        const TensorView dresidual =
            op_.residual == ops::Residual::yes ? arguments.input_gradients[3].view : TensorView{};
        if (dx || dresidual) {
            launch_rows<T>(queue_, input_shape(0).pixels(), groups_.channels,
                           GradientPass<T>{dz, dx ? dx.as<T>() : nullptr,
                                           dresidual ? dresidual.as<T>() : nullptr, back});
        }
        const auto dscale = parameter_gradient(arguments.input_gradients[1]);
        const auto dshift = parameter_gradient(arguments.input_gradients[2]);
        if (!dscale && !dshift) return;
        launch_column_sums(queue_, columns_, partials,
                           ParameterSums<T>{dz, statistics, groups_, dscale, dshift});
    }

  private:
    std::int64_t coefficients() const { return groups_.samples * groups_.channels; }

    Groups groups_;
    SumGeometry sums_;
    ColumnGeometry columns_;
    Tail tail_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::GroupNorm& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<GroupNormPlan>(op, request, queue);
}

}  // namespace terrane::cuda
