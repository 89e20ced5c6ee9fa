// The recursion of a diffusion network: noise, denoising, projection, blending, targets.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/bilinear.hpp"
#include "formulas/diffusion.hpp"

namespace terrane::cuda {

namespace {

/// A thread keeps a pixel's channels in its own memory.
constexpr std::int64_t most_channels = 256;

TERRANE_HOST_DEVICE inline void read_pixel(const Floats& map, std::int64_t first, std::int64_t channels,
                                           float* values) {
    for (std::int64_t c = 0; c < channels; ++c) values[c] = map[first + c];
}

struct EmbedTime {
    Floats t;
    FloatsOut y;
    std::int64_t half;

    TERRANE_HOST_DEVICE void operator()(std::int64_t k) const {
        const float angle = t[0] * formulas::time_frequency<float>(k, half);
        y.store(k, std::sin(angle));
        y.store(half + k, std::cos(angle));
    }
};

class TimeEmbeddingPlan final : public KernelPlan<ops::TimeEmbedding> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const std::int64_t half = op_.channels / 2;
        launch(queue_, half, EmbedTime{floats(arguments.inputs[0]), floats_out(arguments.outputs[0]), half});
    }
};

struct SoftTarget {
    const std::uint8_t* labels;
    FloatsOut y;
    std::int64_t in_height, in_width, height, width, classes;
    bool masks;

    TERRANE_HOST_DEVICE void operator()(std::int64_t at) const {
        const std::int64_t n = at / (height * width);
        const auto row =
            formulas::tap<float>(at / width % height, in_height, height, ops::Corners::half_pixel);
        const auto column = formulas::tap<float>(at % width, in_width, width, ops::Corners::half_pixel);
        const std::int64_t rows[2] = {row.index0, row.index1}, columns[2] = {column.index0, column.index1};
        const float row_weights[2] = {row.weight0, row.weight1},
                    column_weights[2] = {column.weight0, column.weight1};
        float weights[4];
        std::int64_t found[4];
        bool touches_void = false;
        for (int i = 0; i < 4; ++i) {
            weights[i] = row_weights[i / 2] * column_weights[i % 2];
            found[i] = labels[(n * in_height + rows[i / 2]) * in_width + columns[i % 2]];
            touches_void = touches_void || (weights[i] != 0 && found[i] >= classes);
        }
        for (std::int64_t c = 0; c < classes; ++c) {
            float share = 0;
            for (int i = 0; i < 4 && !(masks && touches_void); ++i)
                share += found[i] == c ? weights[i] : 0.0f;
            y.store(at * classes + c, share);
        }
    }
};

class SoftTargetsPlan final : public KernelPlan<ops::SoftTargets> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        launch(queue_, output_shape().pixels(),
               SoftTarget{arguments.inputs[0].as<std::uint8_t>(), floats_out(arguments.outputs[0]),
                          input_shape(0)[1], input_shape(0)[2], op_.height, op_.width, op_.classes,
                          op_.void_pixels == ops::VoidPixels::masked});
    }
};

struct DiffusePixel {
    Floats state, time;
    const std::int64_t* keys;
    const device::StepState* step;
    FloatsOut y;
    std::int64_t per_sample, channels;
    bool softmaxes;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const std::int64_t first = pixel * channels;
        float values[most_channels];
        read_pixel(state, first, channels, values);
        if (softmaxes) formulas::softmax_in_place(values, channels);
        const float t = time[0];
        formulas::SampleNoise noise(step->seed, keys[first / per_sample], formulas::moment_of(t));
        for (std::int64_t c = 0; c < channels; ++c) {
            y.store(first + c,
                    formulas::clipped(values[c] + t * noise.normal<float>(first % per_sample + c)));
        }
    }
};

class DiffusePlan final : public KernelPlan<ops::Diffuse> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Shape& shape = output_shape();
        launch(queue_, shape.pixels(),
               DiffusePixel{floats(arguments.inputs[0]), floats(arguments.inputs[1]),
                            arguments.inputs[2].as<std::int64_t>(), arguments.step,
                            floats_out(arguments.outputs[0]), shape.elements() / shape[0], shape.channels(),
                            op_.prior == ops::Diffuse::Prior::softmax});
    }
};

/// Four neighbouring elements of a sample come from one draw.
struct DrawUniform {
    const std::int64_t* keys;
    const device::StepState* step;
    FloatsOut y;
    std::int64_t per_sample;

    TERRANE_HOST_DEVICE std::int64_t blocks() const { return (per_sample + 3) / 4; }
    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t sample = item / blocks(), begin = item % blocks() * 4;
        const std::int64_t end = begin + 4 < per_sample ? begin + 4 : per_sample;
        formulas::SampleNoise noise(step->seed, keys[sample], formulas::moment_of_the_beginning);
        for (std::int64_t i = begin; i < end; ++i) y.store(sample * per_sample + i, noise.uniform(i));
    }
};

class UniformStatePlan final : public KernelPlan<ops::UniformState> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Shape& shape = output_shape();
        const DrawUniform work{arguments.inputs[0].as<std::int64_t>(), arguments.step,
                               floats_out(arguments.outputs[0]), shape.elements() / shape[0]};
        launch(queue_, shape[0] * work.blocks(), work);
    }
};

struct Subtract {
    Floats x, f;
    float* y;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const { y[i] = x[i] - f[i]; }
};

struct SpreadDifference {
    Terms<float> dy;
    FloatsOut dx, df;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const float gradient = dy[i];
        if (dx) dx.store(i, gradient);
        if (df) df.store(i, -gradient);
    }
};

class DenoisePlan final : public KernelPlan<ops::Denoise> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        launch(queue_, output_shape().elements(),
               Subtract{floats(arguments.inputs[0]), floats(arguments.inputs[1]),
                        arguments.outputs[0].as<float>()});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch(queue_, output_shape().elements(),
               SpreadDifference{terms_of<float>(arguments.output_gradients[0]),
                                floats_out(arguments.input_gradients[0].view),
                                floats_out(arguments.input_gradients[1].view)});
    }
};

struct ProjectPixel {
    Floats x;
    float* y;
    std::int64_t channels;
    float floor, least_sum;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const std::int64_t first = pixel * channels;
        float values[most_channels];
        read_pixel(x, first, channels, values);
        const auto sum = formulas::projection_sum(values, channels, floor, least_sum);
        for (std::int64_t c = 0; c < channels; ++c) {
            y[first + c] = (values[c] > floor ? values[c] : floor) / sum.divisor;
        }
    }
};

struct ProjectBack {
    Floats x;
    Terms<float> dp;
    FloatsOut dx;
    std::int64_t channels;
    float floor, least_sum;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const std::int64_t first = pixel * channels;
        float values[most_channels];
        read_pixel(x, first, channels, values);
        const auto sum = formulas::projection_sum(values, channels, floor, least_sum);
        float along = 0;
        for (std::int64_t c = 0; sum.follows && c < channels; ++c) {
            along += dp[first + c] * (values[c] > floor ? values[c] : floor) / sum.divisor;
        }
        for (std::int64_t c = 0; c < channels; ++c) {
            dx.store(first + c, values[c] >= floor ? (dp[first + c] - along) / sum.divisor : 0.0f);
        }
    }
};

class SimplexProjectionPlan final : public KernelPlan<ops::SimplexProjection> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        launch(queue_, output_shape().pixels(),
               ProjectPixel{floats(arguments.inputs[0]), arguments.outputs[0].as<float>(),
                            output_shape().channels(), static_cast<float>(op_.floor),
                            static_cast<float>(op_.least_sum)});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch(queue_, output_shape().pixels(),
               ProjectBack{floats(arguments.inputs[0]), terms_of<float>(arguments.output_gradients[0]),
                           floats_out(arguments.input_gradients[0].view), output_shape().channels(),
                           static_cast<float>(op_.floor), static_cast<float>(op_.least_sum)});
    }
};

struct BlendPixel {
    Floats previous, proposal, begin;
    FloatsOut y;
    ops::StateBlend op;
    std::int64_t channels;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const std::int64_t first = pixel * channels;
        float before[most_channels], after[most_channels];
        read_pixel(previous, first, channels, before);
        read_pixel(proposal, first, channels, after);
        const float gain = formulas::blend_gain(op, begin[0] > 0.5f, before, after, channels);
        for (std::int64_t c = 0; c < channels; ++c)
            y.store(first + c, (1 - gain) * before[c] + gain * after[c]);
    }
};

class StateBlendPlan final : public KernelPlan<ops::StateBlend> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        launch(
            queue_, output_shape().pixels(),
            BlendPixel{floats(arguments.inputs[0]), floats(arguments.inputs[1]), floats(arguments.inputs[2]),
                       floats_out(arguments.outputs[0]), op_, output_shape().channels()});
    }
};

struct BrierSums {
    static constexpr int sums = 2;
    Floats estimate;
    const float *targets, *weights;
    std::int64_t channels;
    ops::VoidPixels void_pixels;
    double* output;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t pixel, double (&own)[2]) const {
        const float* truth = targets + pixel * channels;
        const float weight = formulas::pixel_weight(truth, weights, channels, void_pixels);
        float squares = 0;
        for (std::int64_t c = 0; c < channels; ++c) {
            const float difference = estimate[pixel * channels + c] - truth[c];
            squares += difference * difference;
        }
        own[0] += static_cast<double>(weight * squares / static_cast<float>(channels));
        own[1] += static_cast<double>(weight);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[2]) const {
        output[0] = total[0];
        output[1] = total[1];
    }
};

struct BrierGradient {
    Floats estimate;
    const float *targets, *weights;
    FloatsOut gradient;
    std::int64_t channels;
    ops::VoidPixels void_pixels;
    float loss_weight;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const float* truth = targets + pixel * channels;
        const float weight = formulas::pixel_weight(truth, weights, channels, void_pixels);
        const float factor = loss_weight * weight * 2 / static_cast<float>(channels);
        for (std::int64_t c = 0; c < channels; ++c) {
            gradient.store(pixel * channels + c, factor * (estimate[pixel * channels + c] - truth[c]));
        }
    }
};

class BrierLossPlan final : public KernelPlan<ops::BrierLoss> {
  public:
    BrierLossPlan(const ops::BrierLoss& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue), sums_(1, input_shape(0).pixels()) {
        requirements_.gradient_terms = 1;
        requirements_.forward_workspace = sums_.bytes(2);
    }

    void forward(const device::ForwardArguments& arguments) override {
        launch_sums(queue_, sums_, reinterpret_cast<double*>(arguments.workspace),
                    BrierSums{floats(arguments.inputs[0]), arguments.inputs[1].as<float>(),
                              arguments.inputs[2].as<float>(), input_shape(0).channels(), op_.void_pixels,
                              arguments.outputs[0].as<double>()});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch(
            queue_, input_shape(0).pixels(),
            BrierGradient{floats(arguments.inputs[0]), arguments.inputs[1].as<float>(),
                          arguments.inputs[2].as<float>(), floats_out(arguments.input_gradients[0].view),
                          input_shape(0).channels(), op_.void_pixels, static_cast<float>(op_.loss_weight)});
    }

  private:
    SumGeometry sums_;
};

/// Row: a pixel of the patches, in their order.
template <typename T>
struct MovePixel {
    const T* x;
    T* y;
    std::int64_t batch, height, width;  ///< of the maps
    std::int64_t edge_rows, edge_columns, channels;
    bool cuts;

    template <int pack>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t across = width / edge_columns;
        const std::int64_t column = pixel % edge_columns, row = pixel / edge_columns % edge_rows;
        const std::int64_t patch = pixel / (edge_rows * edge_columns);
        const std::int64_t sample = patch % batch, place = patch / batch;
        const std::int64_t on_map = ((sample * height + place / across * edge_rows + row) * width +
                                     place % across * edge_columns + column) *
                                        channels +
                                    c;
        const std::int64_t in_patch = pixel * channels + c;
        float values[pack];
        load<pack>(x, cuts ? on_map : in_patch, values);
        store<pack>(y, cuts ? in_patch : on_map, values);
    }
};

template <typename T>
class PatchesPlan final : public KernelPlan<ops::Patches> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const bool cuts = op_.direction == ops::Patches::Direction::cut;
        const Shape& map = cuts ? input_shape(0) : output_shape();
        const Shape& patches = cuts ? output_shape() : input_shape(0);
        launch_rows<T>(
            queue_, patches.pixels(), map.channels(),
            MovePixel<T>{arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), map.batch(), map.height(),
                         map.width(), patches.height(), patches.width(), map.channels(), cuts});
    }
};

template <typename Plan, typename Op>
std::unique_ptr<device::OpPlan> make_of_floats(const Op& op, const device::PlanRequest& request,
                                               Queue queue) {
    if (!has_float_types(request) || request.descriptor.outputs[0].shape.channels() > most_channels)
        return nullptr;
    return std::make_unique<Plan>(op, request, queue);
}

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::TimeEmbedding& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (!has_float_types(request)) return nullptr;
    return std::make_unique<TimeEmbeddingPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::SoftTargets& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_of_floats<SoftTargetsPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Diffuse& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_of_floats<DiffusePlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::UniformState& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_of_floats<UniformStatePlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Denoise& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (!has_float_types(request)) return nullptr;
    return std::make_unique<DenoisePlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::SimplexProjection& op,
                                             const device::PlanRequest& request, Queue queue) {
    return make_of_floats<SimplexProjectionPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::StateBlend& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_of_floats<StateBlendPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::BrierLoss& op, const device::PlanRequest& request,
                                             Queue queue) {
    const std::vector<TensorSpec>& inputs = request.descriptor.inputs;
    if (inputs[0].dtype == DType::f64 || inputs[1].dtype != DType::f32) return nullptr;
    return std::make_unique<BrierLossPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Patches& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<PatchesPlan>(op, request, queue);
}

}  // namespace terrane::cuda
