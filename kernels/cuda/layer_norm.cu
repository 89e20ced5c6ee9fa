// Layer normalisation: a warp per row.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/norm.hpp"

namespace terrane::cuda {

namespace {

struct Statistics {
    double mean, inverse_std;
};

template <typename T, int width>
struct RowForward {
    static constexpr int threads = warp_threads;
    struct Shared {
        double sums[warp_threads], squares[warp_threads];
    };
    const T* x;
    const float *scale, *shift;
    T* y;
    Statistics* saved;  ///< null in inference
    std::int64_t channels;
    double epsilon;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t row) const {
        const T* own = x + row * channels;
        const double count = static_cast<double>(channels);
        team.each([&](int thread) {
            double sum = 0;
            for (std::int64_t c = thread * width; c < channels; c += threads * width) {
                float values[width];
                load<width>(own, c, values);
                for (const float value : values) sum += static_cast<double>(value);
            }
            team.shared.sums[thread] = sum;
        });
        team.sum(team.shared.sums);
        team.each([&](int thread) {
            const double mean = team.shared.sums[0] / count;
            double squares = 0;
            for (std::int64_t c = thread * width; c < channels; c += threads * width) {
                float values[width];
                load<width>(own, c, values);
                for (const float value : values) {
                    const double difference = static_cast<double>(value) - mean;
                    squares += difference * difference;
                }
            }
            team.shared.squares[thread] = squares;
        });
        team.sum(team.shared.squares);
        team.each([&](int thread) {
            const double mean = team.shared.sums[0] / count;
            const double inverse_std = formulas::inverse_deviation(team.shared.squares[0] / count, epsilon);
            if (saved != nullptr && thread == 0) saved[row] = {mean, inverse_std};
            for (std::int64_t c = thread * width; c < channels; c += threads * width) {
                float values[width];
                load<width>(own, c, values);
                for (int i = 0; i < width; ++i) {
                    values[i] =
                        formulas::norm_forward<float>(mean, inverse_std, static_cast<double>(scale[c + i]),
                                                      static_cast<double>(shift[c + i]))
                            .apply(values[i]);
                }
                store<width>(y, row * channels + c, values);
            }
        });
    }
};

template <typename T, int width>
struct RowBackward {
    static constexpr int threads = warp_threads;
    struct Shared {
        double sums[warp_threads], along[warp_threads];
    };
    Terms<T> dy;
    const T* x;
    const float* scale;
    const Statistics* saved;
    T* dx;
    std::int64_t channels;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t row) const {
        const Statistics own = saved[row];
        const double count = static_cast<double>(channels);
        team.each([&](int thread) {
            double sum = 0, along = 0;
            for (std::int64_t c = thread * width; c < channels; c += threads * width) {
                float gradients[width], values[width];
                dy.template read<width>(row * channels + c, gradients);
                load<width>(x, row * channels + c, values);
                for (int i = 0; i < width; ++i) {
                    const double g = static_cast<double>(scale[c + i]) * static_cast<double>(gradients[i]);
                    sum += g;
                    along += g * (static_cast<double>(values[i]) - own.mean);
                }
            }
            team.shared.sums[thread] = sum;
            team.shared.along[thread] = along;
        });
        team.sum(team.shared.sums);
        team.sum(team.shared.along);
        team.each([&](int thread) {
            const double mean_g = team.shared.sums[0] / count;
            const double mean_along = team.shared.along[0] * own.inverse_std / count;
            for (std::int64_t c = thread * width; c < channels; c += threads * width) {
                float gradients[width], values[width];
                dy.template read<width>(row * channels + c, gradients);
                load<width>(x, row * channels + c, values);
                for (int i = 0; i < width; ++i) {
                    values[i] =
                        formulas::norm_backward<float>(own.mean, own.inverse_std,
                                                       static_cast<double>(scale[c + i]), mean_g, mean_along)
                            .apply(values[i], gradients[i]);
                }
                store<width>(dx, row * channels + c, values);
            }
        });
    }
};

template <typename T>
struct ParameterSums {
    static constexpr int sums = 2;
    Terms<T> dy;
    const T* x;
    const Statistics* saved;
    std::int64_t channels;
    ParameterGradient dscale, dshift;

    template <int width>
    struct Row {
        typename Terms<T>::template Packs<width> dy;
        Pack<T, width> x;
        Statistics statistics;
    };
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        const std::int64_t first = row * channels + column;
        return {dy.template packs<width>(first), read_pack<width>(x + first), saved[row]};
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t, const Row<width>& packs, const NoColumns&,
                                 double (&own)[2][width]) const {
        const Statistics& statistics = packs.statistics;
        float gradients[width], values[width];
        dy.template sum_of<width>(packs.dy, gradients);
        widen_pack<width>(packs.x, values);
        for (int i = 0; i < width; ++i) {
            const double gradient = static_cast<double>(gradients[i]);
            own[0][i] += gradient;
            own[1][i] +=
                gradient * (static_cast<double>(values[i]) - statistics.mean) * statistics.inverse_std;
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t c, const double (&total)[2]) const {
        dshift.store(c, total[0]);
        dscale.store(c, total[1]);
    }
};

template <typename T>
class LayerNormPlan final : public KernelPlan<ops::LayerNorm> {
  public:
    LayerNormPlan(const ops::LayerNorm& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          rows_(input_shape(0).pixels()),
          channels_(input_shape(0).channels()),
          columns_(rows_, channels_) {
        if (!trains()) return;
        requirements_.saved = carved<Statistics>(rows_);
        requirements_.backward_workspace = columns_.bytes(2);
    }

    void forward(const device::ForwardArguments& arguments) override {
        with_width([&]<int width>() {
            launch_teams(
                queue_, rows_,
                RowForward<T, width>{arguments.inputs[0].as<T>(), arguments.inputs[1].as<float>(),
                                     arguments.inputs[2].as<float>(), arguments.outputs[0].as<T>(),
                                     trains() ? reinterpret_cast<Statistics*>(arguments.saved) : nullptr,
                                     channels_, op_.epsilon});
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        const T* x = arguments.inputs[0].as<T>();
        const auto* saved = reinterpret_cast<const Statistics*>(arguments.saved);
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            with_width([&]<int width>() {
                launch_teams(queue_, rows_,
                             RowBackward<T, width>{dy, x, arguments.inputs[1].as<float>(), saved, dx.as<T>(),
                                                   channels_});
            });
        }
        const auto dscale = parameter_gradient(arguments.input_gradients[1]);
        const auto dshift = parameter_gradient(arguments.input_gradients[2]);
        if (!dscale && !dshift) return;
        launch_column_sums(queue_, columns_, reinterpret_cast<double*>(arguments.workspace),
                           ParameterSums<T>{dy, x, saved, channels_, dscale, dshift});
    }

  private:
    template <typename Body>
    void with_width(Body body) const {
        if (channels_ % full_pack<T> == 0) {
            body.template operator()<full_pack<T>>();
        } else {
            body.template operator()<1>();
        }
    }

    std::int64_t rows_, channels_;
    ColumnGeometry columns_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::LayerNorm& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<LayerNormPlan>(op, request, queue);
}

}  // namespace terrane::cuda
