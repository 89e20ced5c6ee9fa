// The ops of a recursive diffusion network's recursion: noise, denoising, projection, blending, targets.
#include "formulas/diffusion.hpp"
#include "formulas/bilinear.hpp"
#include "formulas/class_loss.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

/// Calls visit(first element) for every pixel of a map.
template <typename Visit>
void for_each_pixel(const Shape& shape, Visit visit) {
    for (std::int64_t i = 0; i < shape.elements(); i += shape.channels()) visit(i);
}

std::vector<double> pixel_of(const AnyReader& map, std::int64_t first, std::int64_t channels) {
    std::vector<double> values(static_cast<std::size_t>(channels));
    for (std::int64_t c = 0; c < channels; ++c) values[static_cast<std::size_t>(c)] = map[first + c];
    return values;
}

template <typename T>
class ChannelAddPlan final : public RefPlan<ops::ChannelAdd> {
  public:
    ChannelAddPlan(const ops::ChannelAdd& op, const device::PlanRequest& request) : RefPlan(op, request) {
        if (trains()) requirements_.backward_workspace = bytes_of_doubles(input_shape(1).elements());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]), shift(arguments.inputs[1]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) y.store(i, x[i] + shift[place(i)]);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        if (const GradientWriter dx(arguments.input_gradients[0]); dx) {
            for (std::int64_t i = 0; i < output_shape().elements(); ++i) dx.store(i, dy[i]);
        }
        const GradientWriter dshift(arguments.input_gradients[1]);
        if (!dshift) return;
        double* sums = doubles(arguments.workspace);
        std::fill(sums, sums + input_shape(1).elements(), 0.0);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) sums[place(i)] += dy[i];
        for (std::int64_t i = 0; i < input_shape(1).elements(); ++i) dshift.store(i, sums[i]);
    }

  private:
    std::int64_t place(std::int64_t i) const {
        const std::int64_t channels = output_shape().channels();
        const std::int64_t sample = i / (output_shape().elements() / output_shape().batch());
        return (input_shape(1)[0] == 1 ? 0 : sample * channels) + i % channels;
    }
};

class TimeEmbeddingPlan final : public RefPlan<ops::TimeEmbedding> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const double t = AnyReader(arguments.inputs[0])[0];
        const AnyWriter y(arguments.outputs[0]);
        const std::int64_t half = op_.channels / 2;
        for (std::int64_t k = 0; k < half; ++k) {
            y.store(k, std::sin(t * formulas::time_frequency<double>(k, half)));
            y.store(half + k, std::cos(t * formulas::time_frequency<double>(k, half)));
        }
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

class SoftTargetsPlan final : public RefPlan<ops::SoftTargets> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const auto* labels = arguments.inputs[0].as<std::uint8_t>();
        const AnyWriter y(arguments.outputs[0]);
        const Shape& from = input_shape(0);
        std::vector<double> shares(static_cast<std::size_t>(op_.classes));
        std::int64_t at = 0;
        for_each_pixel(output_shape(), [&](std::int64_t first) {
            const std::int64_t n = at / (op_.height * op_.width);
            const auto row = formulas::tap<double>(at / op_.width % op_.height, from[1], op_.height,
                                                   ops::Corners::half_pixel);
            const auto column =
                formulas::tap<double>(at % op_.width, from[2], op_.width, ops::Corners::half_pixel);
            ++at;
            std::fill(shares.begin(), shares.end(), 0.0);
            bool touches_void = false;
            const auto add = [&](std::int64_t r, std::int64_t c, double weight) {
                if (weight == 0) return;
                const std::int64_t label = labels[(n * from[1] + r) * from[2] + c];
                if (label < op_.classes) {
                    shares[static_cast<std::size_t>(label)] += weight;
                } else {
                    touches_void = true;
                }
            };
            add(row.index0, column.index0, row.weight0 * column.weight0);
            add(row.index0, column.index1, row.weight0 * column.weight1);
            add(row.index1, column.index0, row.weight1 * column.weight0);
            add(row.index1, column.index1, row.weight1 * column.weight1);
            const bool cleared = touches_void && op_.void_pixels == ops::VoidPixels::masked;
            for (std::int64_t c = 0; c < op_.classes; ++c) {
                y.store(first + c, cleared ? 0.0 : shares[static_cast<std::size_t>(c)]);
            }
        });
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

class DiffusePlan final : public RefPlan<ops::Diffuse> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader state(arguments.inputs[0]);
        const double time = AnyReader(arguments.inputs[1])[0];
        const auto* keys = arguments.inputs[2].as<std::int64_t>();
        const AnyWriter y(arguments.outputs[0]);
        const std::int64_t per_sample = output_shape().elements() / output_shape().batch();
        const std::int64_t channels = output_shape().channels();
        for_each_pixel(output_shape(), [&](std::int64_t first) {
            std::vector<double> values = pixel_of(state, first, channels);
            if (op_.prior == ops::Diffuse::Prior::softmax)
                formulas::softmax_in_place(values.data(), channels);
            formulas::SampleNoise noise(arguments.step->seed, keys[first / per_sample],
                                        formulas::moment_of(static_cast<float>(time)));
            for (std::int64_t c = 0; c < channels; ++c) {
                const double drawn = noise.normal<double>(first % per_sample + c);
                y.store(first + c, formulas::clipped(values[static_cast<std::size_t>(c)] + time * drawn));
            }
        });
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

class UniformStatePlan final : public RefPlan<ops::UniformState> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const auto* keys = arguments.inputs[0].as<std::int64_t>();
        const AnyWriter y(arguments.outputs[0]);
        const std::int64_t per_sample = output_shape().elements() / output_shape().batch();
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            formulas::SampleNoise noise(arguments.step->seed, keys[i / per_sample],
                                        formulas::moment_of_the_beginning);
            y.store(i, static_cast<double>(noise.uniform(i % per_sample)));
        }
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

class DenoisePlan final : public RefPlan<ops::Denoise> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader x(arguments.inputs[0]), f(arguments.inputs[1]);
        const AnyWriter y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) y.store(i, x[i] - f[i]);
    }
    void backward(const device::BackwardArguments& arguments) override {
        if (outputs_[0].dtype == DType::f64) return spread<double>(arguments);
        spread<float>(arguments);
    }

  private:
    template <typename R>
    void spread(const device::BackwardArguments& arguments) const {
        const GradientReader<R> dy(arguments.output_gradients[0]);
        const GradientWriter dx(arguments.input_gradients[0]), df(arguments.input_gradients[1]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            if (dx) dx.store(i, dy[i]);
            if (df) df.store(i, -dy[i]);
        }
    }
};

class SimplexProjectionPlan final : public RefPlan<ops::SimplexProjection> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader x(arguments.inputs[0]);
        const AnyWriter y(arguments.outputs[0]);
        for_each_pixel(output_shape(), [&](std::int64_t first) {
            const std::vector<double> values = pixel_of(x, first, output_shape().channels());
            const auto sum = sum_of(values);
            for (std::size_t c = 0; c < values.size(); ++c) {
                y.store(first + static_cast<std::int64_t>(c), std::max(values[c], op_.floor) / sum.divisor);
            }
        });
    }
    void backward(const device::BackwardArguments& arguments) override {
        if (outputs_[0].dtype == DType::f64) return pull_back<double>(arguments);
        pull_back<float>(arguments);
    }

  private:
    formulas::ProjectionSum<double> sum_of(const std::vector<double>& values) const {
        return formulas::projection_sum(values.data(), static_cast<std::int64_t>(values.size()), op_.floor,
                                        op_.least_sum);
    }
    template <typename R>
    void pull_back(const device::BackwardArguments& arguments) const {
        const AnyReader x(arguments.inputs[0]);
        const GradientReader<R> dp(arguments.output_gradients[0]);
        const GradientWriter dx(arguments.input_gradients[0]);
        for_each_pixel(output_shape(), [&](std::int64_t first) {
            const std::vector<double> values = pixel_of(x, first, output_shape().channels());
            const auto sum = sum_of(values);
            double along = 0;
            for (std::size_t c = 0; c < values.size() && sum.follows; ++c) {
                along +=
                    dp[first + static_cast<std::int64_t>(c)] * std::max(values[c], op_.floor) / sum.divisor;
            }
            for (std::size_t c = 0; c < values.size(); ++c) {
                const std::int64_t i = first + static_cast<std::int64_t>(c);
                dx.store(i, values[c] >= op_.floor ? (dp[i] - along) / sum.divisor : 0.0);
            }
        });
    }
};

class StateBlendPlan final : public RefPlan<ops::StateBlend> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader previous(arguments.inputs[0]), proposal(arguments.inputs[1]);
        const bool begins = AnyReader(arguments.inputs[2])[0] > 0.5;
        const AnyWriter y(arguments.outputs[0]);
        const std::int64_t channels = output_shape().channels();
        for_each_pixel(output_shape(), [&](std::int64_t first) {
            const std::vector<double> before = pixel_of(previous, first, channels);
            const std::vector<double> after = pixel_of(proposal, first, channels);
            const double gain = formulas::blend_gain(op_, begins, before.data(), after.data(), channels);
            for (std::size_t c = 0; c < before.size(); ++c) {
                y.store(first + static_cast<std::int64_t>(c), (1 - gain) * before[c] + gain * after[c]);
            }
        });
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

class BrierLossPlan final : public RefPlan<ops::BrierLoss> {
  public:
    BrierLossPlan(const ops::BrierLoss& op, const device::PlanRequest& request) : RefPlan(op, request) {
        requirements_.gradient_terms = 1;
    }

    void forward(const device::ForwardArguments& arguments) override {
        double loss = 0, weights = 0;
        visit(arguments.inputs, [&](std::int64_t, double weight, double difference, bool first_class) {
            loss += weight * difference * difference / static_cast<double>(input_shape(0).channels());
            if (first_class) weights += weight;
        });
        auto* output = arguments.outputs[0].as<double>();
        output[0] = loss;
        output[1] = weights;
    }
    void backward(const device::BackwardArguments& arguments) override {
        const GradientWriter dx(arguments.input_gradients[0]);
        visit(arguments.inputs, [&](std::int64_t i, double weight, double difference, bool) {
            dx.store(i, op_.loss_weight * weight * 2 * difference /
                            static_cast<double>(input_shape(0).channels()));
        });
    }

  private:
    template <typename Visit>
    void visit(std::span<const TensorView> inputs, Visit visit) const {
        const AnyReader estimate(inputs[0]), targets(inputs[1]), weights(inputs[2]);
        const std::int64_t channels = input_shape(0).channels();
        for_each_pixel(input_shape(0), [&](std::int64_t first) {
            const std::vector<double> truth = pixel_of(targets, first, channels);
            const double weight = formulas::pixel_weight(truth.data(), weights, channels, op_.void_pixels);
            for (std::int64_t c = 0; c < channels; ++c) {
                visit(first + c, weight, estimate[first + c] - truth[static_cast<std::size_t>(c)], c == 0);
            }
        });
    }
};

class PatchesPlan final : public RefPlan<ops::Patches> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader x(arguments.inputs[0]);
        const AnyWriter y(arguments.outputs[0]);
        const bool cuts = op_.direction == ops::Patches::Direction::cut;
        const Shape& map = cuts ? input_shape(0) : output_shape();
        const Shape& patches = cuts ? output_shape() : input_shape(0);
        const std::int64_t edge_rows = patches.height(), edge_columns = patches.width();
        const std::int64_t across = map.width() / edge_columns, channels = map.channels();
        for (std::int64_t i = 0; i < patches.elements(); ++i) {
            const std::int64_t pixel = i / channels;
            const std::int64_t column = pixel % edge_columns, row = pixel / edge_columns % edge_rows;
            const std::int64_t patch = pixel / (edge_rows * edge_columns);
            const std::int64_t sample = patch % map.batch(), place = patch / map.batch();
            const std::int64_t at =
                ((sample * map.height() + place / across * edge_rows + row) * map.width() +
                 place % across * edge_columns + column) *
                    channels +
                i % channels;
            y.store(cuts ? i : at, x[cuts ? at : i]);
        }
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::ChannelAdd& op, const device::PlanRequest& request) {
    return make_typed<ChannelAddPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::TimeEmbedding& op, const device::PlanRequest& request) {
    return std::make_unique<TimeEmbeddingPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::SoftTargets& op, const device::PlanRequest& request) {
    return std::make_unique<SoftTargetsPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Diffuse& op, const device::PlanRequest& request) {
    return std::make_unique<DiffusePlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::UniformState& op, const device::PlanRequest& request) {
    return std::make_unique<UniformStatePlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Denoise& op, const device::PlanRequest& request) {
    return std::make_unique<DenoisePlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::SimplexProjection& op, const device::PlanRequest& request) {
    return std::make_unique<SimplexProjectionPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::StateBlend& op, const device::PlanRequest& request) {
    return std::make_unique<StateBlendPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::BrierLoss& op, const device::PlanRequest& request) {
    return std::make_unique<BrierLossPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Patches& op, const device::PlanRequest& request) {
    return std::make_unique<PatchesPlan>(op, request);
}

}  // namespace terrane::ref
