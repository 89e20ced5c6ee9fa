// Group normalisation: statistics per sample and group of channels.
#include "cuda/moments.hpp"
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

/// Which elements share statistics: group `index` is group index % groups of sample index / groups. Channels
/// are also counted through all samples.
struct Groups {
    std::int64_t samples, area, channels, groups;

    TERRANE_HOST_DEVICE std::int64_t width() const { return channels / groups; }
    TERRANE_HOST_DEVICE double count() const { return static_cast<double>(area * width()); }
    /// The group of a channel that is counted through all samples.
    TERRANE_HOST_DEVICE std::int64_t group_of(std::int64_t channel) const { return channel / width(); }
};

/// Two sums over a sample's area, for one channel.
struct AreaSums {
    double first, second;
};

/// Sums of x and x^2.
template <typename T>
struct MomentSums {
    static constexpr int sums = 2;
    const T* x;
    std::int64_t channels;
    AreaSums* found;  ///< [samples, channels]

    template <int width>
    TERRANE_HOST_DEVICE Pack<T, width> read(std::int64_t row, std::int64_t column) const {
        return read_pack<width>(x + row * channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t, const Pack<T, width>& pack, const NoColumns&,
                                 double (&own)[2][width]) const {
        add_moments<width>(pack, own);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t channel, const double (&total)[2]) const {
        found[channel] = {total[0], total[1]};
    }
};

/// A group's moments from those of its channels.
struct GroupMoments {
    static constexpr int sums = 2;
    const AreaSums* found;
    Groups groups;
    double epsilon;
    Statistics* statistics;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[2]) const {
        const AreaSums& channel = found[group * groups.width() + item];
        own[0] += channel.first;
        own[1] += channel.second;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[2]) const {
        const auto moments = formulas::moments_from_sums(total[0], total[1], groups.count());
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
        const Statistics own = statistics[groups.group_of(i)];
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
    std::int64_t channels;
    Tail tail;

    template <int width>
    TERRANE_HOST_DEVICE OfChannels<width, Forward> of_columns(std::int64_t channel) const {
        return {coefficients, channel};
    }
    template <int width>
    struct Row {
        Pack<T, width> x, residual;
    };
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        const std::int64_t first = row * channels + column;
        Row<width> packs{read_pack<width>(x + first), {}};
        if (residual != nullptr) packs.residual = read_pack<width>(residual + first);
        return packs;
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column, const Row<width>& packs,
                                   const OfChannels<width, Forward>& own) const {
        float values[width];
        widen_pack<width>(packs.x, values);
        for (int i = 0; i < width; ++i) values[i] = own.values[i].apply(values[i]);
        if (residual != nullptr) {
            float more[width];
            widen_pack<width>(packs.residual, more);
            for (int i = 0; i < width; ++i) values[i] += more[i];
        }
        for (float& value : values) {
            if (tail == Tail::rectify && !(value > 0)) value = 0;
            if (tail == Tail::silu) value = formulas::activate<ops::ActivationKind::silu>(value);
        }
        store<width>(y, row * channels + column, values);
    }
};

/// The gradient behind the fused tail.
template <typename T>
struct TailGradient {
    Terms<T> dy;
    const T* x;
    const T* y;  ///< null unless rectified
    std::int64_t channels;
    Tail tail;

    template <int width>
    struct Row {
        typename Terms<T>::template Packs<width> dy;
        Pack<T, width> x, y;
    };
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t first) const {
        Row<width> packs{dy.template packs<width>(first), read_pack<width>(x + first), {}};
        if (tail == Tail::rectify) packs.y = read_pack<width>(y + first);
        return packs;
    }
    /// From a row the input and the gradient.
    template <int width>
    TERRANE_HOST_DEVICE void values_of(const Row<width>& packs, const OfChannels<width, Forward>& forward,
                                       float (&inputs)[width], float (&gradients)[width]) const {
        widen_pack<width>(packs.x, inputs);
        dy.template sum_of<width>(packs.dy, gradients);
        if (tail == Tail::rectify) {
            float values[width];
            widen_pack<width>(packs.y, values);
            for (int i = 0; i < width; ++i) gradients[i] = values[i] > 0 ? gradients[i] : 0.0f;
        }
        for (int i = 0; tail == Tail::silu && i < width; ++i) {
            gradients[i] *=
                formulas::activation_slope<ops::ActivationKind::silu>(forward.values[i].apply(inputs[i]));
        }
    }
};

/// Sums of dz and of dz * (x - mean): all that groups and parameters need.
template <typename T>
struct GradientSums {
    static constexpr int sums = 2;
    TailGradient<T> dz;
    const Forward* coefficients;
    const Statistics* statistics;
    Groups groups;
    AreaSums* found;  ///< [samples, channels]

    template <int width>
    struct Columns {
        OfChannels<width, Forward> forward;
        double means[width];
    };
    template <int width>
    TERRANE_HOST_DEVICE Columns<width> of_columns(std::int64_t channel) const {
        Columns<width> own{{coefficients, channel}, {}};
        for (int i = 0; i < width; ++i) own.means[i] = statistics[groups.group_of(channel + i)].mean;
        return own;
    }
    template <int width>
    using Row = typename TailGradient<T>::template Row<width>;
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        return dz.template read<width>(row * groups.channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t, const Row<width>& packs,
                                 const Columns<width>& columns, double (&own)[2][width]) const {
        float gradients[width], values[width];
        dz.template values_of<width>(packs, columns.forward, values, gradients);
        for (int i = 0; i < width; ++i) {
            const double gradient = static_cast<double>(gradients[i]);
            own[0][i] += gradient;
            own[1][i] += gradient * (static_cast<double>(values[i]) - columns.means[i]);
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t channel, const double (&total)[2]) const {
        found[channel] = {total[0], total[1]};
    }
};

/// Means of g and g * xhat per group, g = scale * dz.
struct GroupMeans {
    static constexpr int sums = 2;
    const AreaSums* found;
    const Statistics* statistics;
    const float* scale;
    Groups groups;
    Statistics* means;  ///< of g and of g * xhat

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[2]) const {
        const std::int64_t channel = group * groups.width() + item;
        const double factor = static_cast<double>(scale[channel % groups.channels]);
        own[0] += factor * found[channel].first;
        own[1] += factor * found[channel].second;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[2]) const {
        means[group] = {total[0] / groups.count(), total[1] * statistics[group].inverse_std / groups.count()};
    }
};

/// The gradients of a channel's scale and shift.
struct ParameterGradients {
    const AreaSums* found;
    const Statistics* statistics;
    Groups groups;
    ParameterGradient dscale, dshift;

    TERRANE_HOST_DEVICE void operator()(std::int64_t c) const {
        double along = 0, sum = 0;
        for (std::int64_t sample = 0; sample < groups.samples; ++sample) {
            const std::int64_t channel = sample * groups.channels + c;
            sum += found[channel].first;
            along += found[channel].second * statistics[groups.group_of(channel)].inverse_std;
        }
        dshift.store(c, sum);
        dscale.store(c, along);
    }
};

struct FindBackward {
    const Statistics *statistics, *means;
    const float* scale;
    Groups groups;
    Backward* coefficients;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t c = i % groups.channels, group = groups.group_of(i);
        coefficients[i] = formulas::norm_backward<float>(
            statistics[group].mean, statistics[group].inverse_std, static_cast<double>(scale[c]),
            means[group].mean, means[group].inverse_std);
    }
};

template <typename T>
struct GradientPass {
    TailGradient<T> dz;
    T *dx, *dresidual;
    const Forward* forward;
    const Backward* coefficients;

    template <int width>
    struct Columns {
        OfChannels<width, Forward> forward;
        OfChannels<width, Backward> backward;
    };
    template <int width>
    TERRANE_HOST_DEVICE Columns<width> of_columns(std::int64_t channel) const {
        return {{forward, channel}, {coefficients, channel}};
    }
    template <int width>
    using Row = typename TailGradient<T>::template Row<width>;
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        return dz.template read<width>(row * dz.channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column, const Row<width>& packs,
                                   const Columns<width>& own) const {
        const std::int64_t first = row * dz.channels + column;
        float gradients[width], values[width];
        dz.template values_of<width>(packs, own.forward, values, gradients);
        if (dresidual != nullptr) store<width>(dresidual, first, gradients);
        if (dx == nullptr) return;
        for (int i = 0; i < width; ++i) values[i] = own.backward.values[i].apply(values[i], gradients[i]);
        store<width>(dx, first, values);
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
          joined_(groups_.samples * op.groups, groups_.width()),
          columns_(groups_.area, groups_.channels, groups_.samples),
          tail_(op.silu == ops::Silu::yes         ? Tail::silu
                : op.rectify == ops::Rectify::yes ? Tail::rectify
                                                  : Tail::none) {
        const std::size_t kept = carved<Statistics>(joined_.groups) + carved<Forward>(all_channels());
        const std::size_t sums =
            carved<AreaSums>(all_channels()) + std::max(columns_.bytes(2), joined_.bytes(2));
        requirements_.forward_workspace = sums + (trains() ? 0 : kept);
        if (!trains()) return;
        requirements_.saved = kept;
        requirements_.backward_workspace =
            carved<Statistics>(joined_.groups) + carved<Backward>(all_channels()) + sums;
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        Carver& kept = trains() ? saved : workspace;
        auto* statistics = kept.take<Statistics>(joined_.groups);
        auto* coefficients = kept.take<Forward>(all_channels());
        auto* found = workspace.take<AreaSums>(all_channels());
        auto* partials = workspace.take_doubles(0);
        const T* x = arguments.inputs[0].as<T>();
        launch_column_sums(queue_, columns_, partials, MomentSums<T>{x, groups_.channels, found});
        launch_sums(queue_, joined_, partials, GroupMoments{found, groups_, op_.epsilon, statistics});
        launch(queue_, all_channels(),
               FindForward{statistics, arguments.inputs[1].as<float>(), arguments.inputs[2].as<float>(),
                           groups_, coefficients});
        const T* residual = op_.residual == ops::Residual::yes ? arguments.inputs[3].as<T>() : nullptr;
        launch_columns<T>(
            queue_, groups_.area, groups_.channels,
            NormPass<T>{x, residual, arguments.outputs[0].as<T>(), coefficients, groups_.channels, tail_},
            groups_.samples);
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        const auto* statistics = saved.take<Statistics>(joined_.groups);
        const auto* forward = saved.take<Forward>(all_channels());
        auto* means = workspace.take<Statistics>(joined_.groups);
        auto* coefficients = workspace.take<Backward>(all_channels());
        auto* found = workspace.take<AreaSums>(all_channels());
        auto* partials = workspace.take_doubles(0);
        const TailGradient<T> dz{terms_of<T>(arguments.output_gradients[0]), arguments.inputs[0].as<T>(),
                                 tail_ == Tail::rectify ? arguments.outputs[0].as<T>() : nullptr,
                                 groups_.channels, tail_};
        const auto* scale = arguments.inputs[1].as<float>();
        const TensorView& dx = arguments.input_gradients[0].view;
        const auto dscale = parameter_gradient(arguments.input_gradients[1]);
        const auto dshift = parameter_gradient(arguments.input_gradients[2]);
        if (dx || dscale || dshift) {
            launch_column_sums(queue_, columns_, partials,
                               GradientSums<T>{dz, forward, statistics, groups_, found});
        }
        if (dscale || dshift) {
            launch(queue_, groups_.channels, ParameterGradients{found, statistics, groups_, dscale, dshift});
        }
        if (dx) {
            launch_sums(queue_, joined_, partials, GroupMeans{found, statistics, scale, groups_, means});
            launch(queue_, all_channels(), FindBackward{statistics, means, scale, groups_, coefficients});
        }
        const TensorView dresidual =
            op_.residual == ops::Residual::yes ? arguments.input_gradients[3].view : TensorView{};
        if (!dx && !dresidual) return;
        launch_columns<T>(queue_, groups_.area, groups_.channels,
                          GradientPass<T>{dz, dx ? dx.as<T>() : nullptr,
                                          dresidual ? dresidual.as<T>() : nullptr, forward, coefficients},
                          groups_.samples);
    }

  private:
    std::int64_t all_channels() const { return groups_.samples * groups_.channels; }

    Groups groups_;
    SumGeometry joined_;      ///< a group's channels
    ColumnGeometry columns_;  ///< a sample's area
    Tail tail_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::GroupNorm& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<GroupNormPlan>(op, request, queue);
}

}  // namespace terrane::cuda
