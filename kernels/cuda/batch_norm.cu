// Batch normalisation: statistics by column sums, then one pass over memory.
#include "cuda/moments.hpp"
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/norm.hpp"

namespace terrane::cuda {

namespace {

using Forward = formulas::NormForward<float>;
using Backward = formulas::NormBackward<float>;

/// What backward needs of forward, per channel; `count` is one number.
struct Saved {
    double *mean = nullptr, *inverse_std = nullptr, *scale = nullptr, *count = nullptr;
    Forward* coefficients = nullptr;

    static std::size_t bytes(std::int64_t channels) {
        return 3 * carved<double>(channels) + carved<double>(1) + carved<Forward>(channels);
    }
    static Saved in(std::byte* memory, std::int64_t channels) {
        if (memory == nullptr) return {};
        Carver carver(memory);
        Saved saved;
        saved.mean = carver.take<double>(channels);
        saved.inverse_std = carver.take<double>(channels);
        saved.scale = carver.take<double>(channels);
        saved.count = carver.take<double>(1);
        saved.coefficients = carver.take<Forward>(channels);
        return saved;
    }
};

/// From a channel's moments to all that depends on them.
struct ChannelFinish {
    const float *scale, *shift;
    float *running_mean, *running_variance;
    double epsilon, momentum;
    Saved saved;
    Forward* coefficients;

    TERRANE_HOST_DEVICE void train(std::int64_t c, const formulas::Moments& moments, double count) const {
        running_mean[c] = static_cast<float>(
            formulas::running_value(static_cast<double>(running_mean[c]), moments.mean, momentum));
        running_variance[c] = static_cast<float>(formulas::running_value(
            static_cast<double>(running_variance[c]), formulas::unbiased(moments.variance, count), momentum));
        keep(c, moments, count);
    }
    /// Coefficients, and what backward needs.
    TERRANE_HOST_DEVICE void keep(std::int64_t c, const formulas::Moments& moments, double count) const {
        coefficients[c] = formulas::norm_forward<float>(
            moments.mean, formulas::inverse_deviation(moments.variance, epsilon),
            static_cast<double>(scale[c]), static_cast<double>(shift[c]));
        if (saved.mean == nullptr) return;
        saved.mean[c] = moments.mean;
        saved.inverse_std[c] = formulas::inverse_deviation(moments.variance, epsilon);
        saved.scale[c] = static_cast<double>(scale[c]);
        if (c == 0) *saved.count = count;
    }
};

/// Sums of x and x^2; the last step trains, or leaves the sums for the exchange.
template <typename T>
struct MomentSums {
    static constexpr int sums = 2;
    const T* x;
    std::int64_t rows, channels;
    ChannelFinish channel;
    double* exchange;  ///< null: this rank's moments are all there is

    template <int width>
    TERRANE_HOST_DEVICE Pack<T, width> read(std::int64_t row, std::int64_t column) const {
        return read_pack<width>(x + row * channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t, const Pack<T, width>& pack, const NoColumns&,
                                 double (&own)[2][width]) const {
        add_moments<width>(pack, own);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t c, const double (&total)[2]) const {
        const double count = static_cast<double>(rows);
        if (exchange == nullptr) {
            channel.train(c, formulas::moments_from_sums(total[0], total[1], count), count);
            return;
        }
        exchange[c] = total[0];
        exchange[channels + c] = total[1];
        if (c == 0) exchange[2 * channels] = count;
    }
};

struct ExchangedMoments {
    const double* exchange;
    std::int64_t channels;
    ChannelFinish channel;

    TERRANE_HOST_DEVICE void operator()(std::int64_t c) const {
        const double count = exchange[2 * channels];
        channel.train(c, formulas::moments_from_sums(exchange[c], exchange[channels + c], count), count);
    }
};

struct RunningMoments {
    ChannelFinish channel;

    TERRANE_HOST_DEVICE void operator()(std::int64_t c) const {
        channel.keep(
            c,
            {static_cast<double>(channel.running_mean[c]), static_cast<double>(channel.running_variance[c])},
            1);
    }
};

template <typename T>
struct NormPass {
    const T *x, *residual;
    T* y;
    const Forward* coefficients;
    std::int64_t channels;
    bool rectifies;

    template <int width>
    TERRANE_HOST_DEVICE OfChannels<width, Forward> of_columns(std::int64_t column) const {
        return {coefficients, column};
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
        for (int i = 0; rectifies && i < width; ++i) values[i] = values[i] > 0 ? values[i] : 0.0f;
        store<width>(y, row * channels + column, values);
    }
};

/// What tells where the ReLU let through: nothing (there is none), the output, or, where the output depends
/// on nothing else, the input. Reading the output again would be a quarter of the bytes of backward.
enum class Gate { open, output, input };

/// dz: dy where the ReLU let through.
template <typename T>
struct RectifiedGradient {
    Terms<T> dy;
    Gate gate;
    const T* x;
    const T* y;

    template <int width>
    struct Row {
        typename Terms<T>::template Packs<width> dy;
        Pack<T, width> x, y;
    };
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t first) const {
        Row<width> packs{dy.template packs<width>(first), read_pack<width>(x + first), {}};
        if (gate == Gate::output) packs.y = read_pack<width>(y + first);
        return packs;
    }
    /// From a row the input and the gradient.
    template <int width>
    TERRANE_HOST_DEVICE void values_of(const Row<width>& packs, const OfChannels<width, Forward>& forward,
                                       float (&inputs)[width], float (&gradients)[width]) const {
        widen_pack<width>(packs.x, inputs);
        dy.template sum_of<width>(packs.dy, gradients);
        if (gate == Gate::open) return;
        float values[width];
        if (gate == Gate::output) {
            widen_pack<width>(packs.y, values);
        } else {
            for (int i = 0; i < width; ++i) values[i] = forward.values[i].apply(inputs[i]);
        }
        for (int i = 0; i < width; ++i) gradients[i] = values[i] > 0 ? gradients[i] : 0.0f;
    }
};

struct BackwardFinish {
    Saved saved;
    Backward* coefficients;
    bool takes_batch;  ///< statistics of the batch; running ones are constants

    TERRANE_HOST_DEVICE void operator()(std::int64_t c, double dshift, double dscale) const {
        const double scale = saved.scale[c], share = takes_batch ? scale / *saved.count : 0;
        coefficients[c] = formulas::norm_backward<float>(saved.mean[c], saved.inverse_std[c], scale,
                                                         share * dshift, share * dscale);
    }
};

template <typename T>
struct GradientSums {
    static constexpr int sums = 2;
    RectifiedGradient<T> dz;
    T* dresidual;  ///< takes dz, for whoever added the residual and for the pass after this; null: not wanted
    std::int64_t channels;
    BackwardFinish channel;
    ParameterGradient dscale, dshift;
    double* exchange;

    template <int width>
    struct Columns {
        OfChannels<width, Forward> forward;
        OfChannels<width, double> mean;
    };
    template <int width>
    TERRANE_HOST_DEVICE Columns<width> of_columns(std::int64_t column) const {
        return {{channel.saved.coefficients, column}, {channel.saved.mean, column}};
    }
    template <int width>
    using Row = typename RectifiedGradient<T>::template Row<width>;
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        return dz.template read<width>(row * channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t row, std::int64_t column, const Row<width>& packs,
                                 const Columns<width>& columns, double (&own)[2][width]) const {
        float gradients[width], values[width];
        dz.template values_of<width>(packs, columns.forward, values, gradients);
        if (dresidual != nullptr) store<width>(dresidual, row * channels + column, gradients);
        for (int i = 0; i < width; ++i) {
            const double gradient = static_cast<double>(gradients[i]);
            own[0][i] += gradient;
            own[1][i] += gradient * (static_cast<double>(values[i]) - columns.mean.values[i]);
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t c, const double (&total)[2]) const {
        const double along = total[1] * channel.saved.inverse_std[c];
        // The rank's own sums: the gradient reduction adds up parameters' gradients anyway.
        dscale.store(c, along);
        dshift.store(c, total[0]);
        if (exchange == nullptr) {
            channel(c, total[0], along);
        } else {
            exchange[c] = total[0];
            exchange[channels + c] = along;
        }
    }
};

struct ExchangedGradients {
    const double* exchange;
    std::int64_t channels;
    BackwardFinish channel;

    TERRANE_HOST_DEVICE void operator()(std::int64_t c) const {
        channel(c, exchange[c], exchange[channels + c]);
    }
};

template <typename T>
struct GradientPass {
    RectifiedGradient<T> dz;
    T* dx;
    const Forward* forward;
    const Backward* coefficients;
    std::int64_t channels;

    template <int width>
    struct Columns {
        OfChannels<width, Forward> forward;
        OfChannels<width, Backward> backward;
    };
    template <int width>
    TERRANE_HOST_DEVICE Columns<width> of_columns(std::int64_t column) const {
        Columns<width> own{{forward, column}, {coefficients, column}};
        // Both hold the mean and scale * inverse_std: registers for one of each leave room for more threads.
        for (int i = 0; i < width; ++i) {
            own.forward.values[i].mean = own.backward.values[i].mean;
            own.forward.values[i].factor = own.backward.values[i].along_gradient;
        }
        return own;
    }
    template <int width>
    using Row = typename RectifiedGradient<T>::template Row<width>;
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        return dz.template read<width>(row * channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column, const Row<width>& packs,
                                   const Columns<width>& own) const {
        float gradients[width], values[width];
        dz.template values_of<width>(packs, own.forward, values, gradients);
        for (int i = 0; i < width; ++i) values[i] = own.backward.values[i].apply(values[i], gradients[i]);
        store<width>(dx, row * channels + column, values);
    }
};

template <typename T>
class BatchNormPlan final : public KernelPlan<ops::BatchNorm> {
  public:
    BatchNormPlan(const ops::BatchNorm& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          rows_(input_shape(0).pixels()),
          channels_(input_shape(0).channels()),
          geometry_(rows_, channels_) {
        if (!trains()) requirements_.forward_workspace = carved<Forward>(channels_);
        if (takes_batch()) requirements_.forward_workspace += geometry_.bytes(2);
        if (trains()) {
            requirements_.saved = Saved::bytes(channels_);
            requirements_.backward_workspace = carved<Backward>(channels_) + geometry_.bytes(2);
        }
        if (takes_batch() && op.scope == ops::NormScope::synchronised) {
            requirements_.forward_exchange = 2 * channels_ + 1;
            if (trains()) requirements_.backward_exchange = 2 * channels_;
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        const Saved saved = Saved::in(trains() ? arguments.saved : nullptr, channels_);
        Forward* const coefficients = trains() ? saved.coefficients : workspace.take<Forward>(channels_);
        auto* partials = workspace.take_doubles(geometry_.bytes(2));
        const ChannelFinish channel{arguments.inputs[1].as<float>(),
                                    arguments.inputs[2].as<float>(),
                                    arguments.inputs[3].as<float>(),
                                    arguments.inputs[4].as<float>(),
                                    op_.epsilon,
                                    op_.momentum,
                                    saved,
                                    coefficients};
        const T* x = arguments.inputs[0].as<T>();
        if (!takes_batch()) {
            launch(queue_, channels_, RunningMoments{channel});
        } else if (arguments.phase == device::Phase::after_exchange) {
            launch(queue_, channels_, ExchangedMoments{arguments.exchange, channels_, channel});
        } else {
            const bool exchanges = arguments.phase == device::Phase::before_exchange;
            launch_column_sums(
                queue_, geometry_, partials,
                MomentSums<T>{x, rows_, channels_, channel, exchanges ? arguments.exchange : nullptr});
            if (exchanges) return;
        }
        const T* residual = op_.residual == ops::Residual::yes ? arguments.inputs[5].as<T>() : nullptr;
        launch_columns<T>(queue_, rows_, channels_,
                          NormPass<T>{x, residual, arguments.outputs[0].as<T>(), coefficients, channels_,
                                      op_.rectify == ops::Rectify::yes});
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        auto* coefficients = workspace.take<Backward>(channels_);
        auto* partials = workspace.take_doubles(geometry_.bytes(2));
        const Saved saved = Saved::in(arguments.saved, channels_);
        const BackwardFinish channel{saved, coefficients, takes_batch()};
        const bool adds = op_.residual == ops::Residual::yes;
        const T* x = arguments.inputs[0].as<T>();
        const RectifiedGradient<T> dz{terms_of<T>(arguments.output_gradients[0]), gate(), x,
                                      gate() == Gate::output ? arguments.outputs[0].as<T>() : nullptr};
        const TensorView& dx = arguments.input_gradients[0].view;
        const TensorView residual_gradient = adds ? arguments.input_gradients[5].view : TensorView{};
        T* const dresidual = residual_gradient ? residual_gradient.as<T>() : nullptr;
        if (arguments.phase == device::Phase::after_exchange) {
            launch(queue_, channels_, ExchangedGradients{arguments.exchange, channels_, channel});
        } else {
            const bool exchanges = arguments.phase == device::Phase::before_exchange;
            launch_column_sums(queue_, geometry_, partials,
                               GradientSums<T>{dz, dresidual, channels_, channel,
                                               parameter_gradient(arguments.input_gradients[1]),
                                               parameter_gradient(arguments.input_gradients[2]),
                                               exchanges ? arguments.exchange : nullptr});
            if (exchanges) return;
        }
        if (!dx) return;
        // The gradient of the residual is dz already.
        const RectifiedGradient<T> source =
            dresidual != nullptr ? RectifiedGradient<T>{{dresidual}, Gate::open, x, nullptr} : dz;
        launch_columns<T>(queue_, rows_, channels_,
                          GradientPass<T>{source, dx.as<T>(), saved.coefficients, coefficients, channels_});
    }

  private:
    /// Statistics of the batch rather than the running ones, which a frozen norm reads in training, too.
    bool takes_batch() const { return mode_ == device::Mode::training; }

    Gate gate() const {
        if (op_.rectify == ops::Rectify::no) return Gate::open;
        return op_.residual == ops::Residual::yes ? Gate::output : Gate::input;
    }

    std::int64_t rows_, channels_;
    ColumnGeometry geometry_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::BatchNorm& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<BatchNormPlan>(op, request, queue);
}

}  // namespace terrane::cuda
