// Convolutions and products without a vendor library, a thread per result: slow and simple. They stand in
// where the libraries refuse a shape or a type, or are not there.
#include "cuda/parameter_kernels.hpp"
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"

namespace terrane::cuda {

namespace {

/// A convolution between a large map (x of a convolution, y of a transposed one) and a small one. Tap r of
/// the kernel joins small position p with large position p * stride - padding + r * dilation.
struct Geometry {
    std::int64_t kernel, stride, padding, dilation, groups;
    std::int64_t batch;
    std::int64_t large_height, large_width, large_channels;
    std::int64_t small_height, small_width, small_channels;

    TERRANE_HOST_DEVICE std::int64_t large_group() const { return large_channels / groups; }
    TERRANE_HOST_DEVICE std::int64_t small_group() const { return small_channels / groups; }
    TERRANE_HOST_DEVICE std::int64_t taps() const { return kernel * kernel; }
    TERRANE_HOST_DEVICE std::int64_t small_pixels() const { return batch * small_height * small_width; }

    /// The large pixel of a small pixel and a tap; -1 outside.
    TERRANE_HOST_DEVICE std::int64_t large_pixel(std::int64_t pixel, std::int64_t tap) const {
        const std::int64_t q = pixel % small_width, p = pixel / small_width % small_height;
        const std::int64_t row = p * stride - padding + tap / kernel * dilation;
        const std::int64_t column = q * stride - padding + tap % kernel * dilation;
        if (row < 0 || row >= large_height || column < 0 || column >= large_width) return -1;
        return (pixel / (small_width * small_height) * large_height + row) * large_width + column;
    }
    /// The small pixel of a large pixel and a tap; -1 if there is none.
    TERRANE_HOST_DEVICE std::int64_t small_pixel(std::int64_t pixel, std::int64_t tap) const {
        const std::int64_t column = pixel % large_width, row = pixel / large_width % large_height;
        const std::int64_t p = row + padding - tap / kernel * dilation,
                           q = column + padding - tap % kernel * dilation;
        if (p < 0 || q < 0 || p % stride != 0 || q % stride != 0) return -1;
        if (p / stride >= small_height || q / stride >= small_width) return -1;
        return (pixel / (large_width * large_height) * small_height + p / stride) * small_width + q / stride;
    }
    /// Where the weight between small channel k and channel c of its group of large channels lies.
    TERRANE_HOST_DEVICE std::int64_t weight(std::int64_t k, std::int64_t tap, std::int64_t c) const {
        return (k * taps() + tap) * large_group() + c;
    }
};

/// From the large map to the small one: convolution forward, transposed convolution backward. Item: small
/// element.
template <typename T>
struct ToSmall {
    Terms<T> large;
    const float *weight, *bias;
    T* small;
    Geometry g;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t k = item % g.small_channels, pixel = item / g.small_channels;
        const std::int64_t first = k / g.small_group() * g.large_group();
        float sum = bias == nullptr ? 0.0f : bias[k];
        for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
            const std::int64_t source = g.large_pixel(pixel, tap);
            if (source < 0) continue;
            for (std::int64_t c = 0; c < g.large_group(); ++c) {
                sum += large[source * g.large_channels + first + c] * weight[g.weight(k, tap, c)];
            }
        }
        small[item] = T(sum);
    }
};

/// From the small map to the large one. Item: large element.
template <typename T>
struct ToLarge {
    Terms<T> small;
    const float *weight, *bias;
    T* large;
    Geometry g;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t channel = item % g.large_channels, pixel = item / g.large_channels;
        const std::int64_t c = channel % g.large_group(), first = channel / g.large_group() * g.small_group();
        float sum = bias == nullptr ? 0.0f : bias[channel];
        for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
            const std::int64_t source = g.small_pixel(pixel, tap);
            if (source < 0) continue;
            for (std::int64_t k = first; k < first + g.small_group(); ++k) {
                sum += small[source * g.small_channels + k] * weight[g.weight(k, tap, c)];
            }
        }
        large[item] = T(sum);
    }
};

/// Group: an element of the weight; item: a small pixel.
template <typename T>
struct WeightSums {
    static constexpr int sums = 1;
    Terms<T> large, small;
    ParameterGradient target;
    Geometry g;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t pixel, double (&own)[1]) const {
        const std::int64_t c = group % g.large_group(), tap = group / g.large_group() % g.taps();
        const std::int64_t k = group / (g.large_group() * g.taps());
        const std::int64_t partner = g.large_pixel(pixel, tap);
        if (partner < 0) return;
        const std::int64_t channel = k / g.small_group() * g.large_group() + c;
        own[0] += static_cast<double>(small[pixel * g.small_channels + k]) *
                  static_cast<double>(large[partner * g.large_channels + channel]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        target.store(group, total[0]);
    }
};

/// Convolution and transposed convolution.
template <typename T, typename Op>
class DirectConvolutionPlan final : public KernelPlan<Op> {
    static constexpr bool transposed = std::is_same_v<Op, ops::TransposedConvolution>;

  public:
    DirectConvolutionPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan<Op>(op, request, queue), geometry_(geometry_of(op)) {
        weights_ = SumGeometry(this->input_shape(1).elements(), geometry_.small_pixels());
        biases_ = ColumnGeometry(this->output_shape().pixels(), this->output_shape().channels());
        if (this->trains()) {
            this->requirements_.backward_workspace = std::max(weights_.bytes(1), biases_.bytes(1));
        }
    }
    std::string implementation() const override { return "cuda:direct"; }

    void forward(const device::ForwardArguments& arguments) override {
        const float* bias = this->inputs_.size() > 2 ? arguments.inputs[2].template as<float>() : nullptr;
        run<transposed>({arguments.inputs[0].template as<T>()}, arguments.inputs[1], bias,
                        arguments.outputs[0]);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        auto* partials = reinterpret_cast<double*>(arguments.workspace);
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            run<!transposed>(dy, arguments.inputs[1], nullptr, dx);
        }
        if (const auto target = parameter_gradient(arguments.input_gradients[1]); target) {
            const Terms<T> x{arguments.inputs[0].template as<T>()};
            launch_sums(this->queue_, weights_, partials,
                        WeightSums<T>{transposed ? dy : x, transposed ? x : dy, target, geometry_});
        }
        if (this->inputs_.size() < 3) return;
        if (const auto target = parameter_gradient(arguments.input_gradients[2]); target) {
            launch_bias_gradient(this->queue_, biases_, dy, target, partials);
        }
    }

  private:
    Geometry geometry_of(const ops::Convolution& op) const {
        return geometry(op.kernel, op.stride, op.padding, op.dilation, op.groups, this->input_shape(0),
                        this->output_shape());
    }
    Geometry geometry_of(const ops::TransposedConvolution& op) const {
        return geometry(op.kernel, op.stride, op.padding, 1, 1, this->output_shape(), this->input_shape(0));
    }
    static Geometry geometry(std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                             std::int64_t dilation, std::int64_t groups, const Shape& large,
                             const Shape& small) {
        return {kernel,           stride,         padding,        dilation,
                groups,           large.batch(),  large.height(), large.width(),
                large.channels(), small.height(), small.width(),  small.channels()};
    }

    template <bool to_large>
    void run(const Terms<T>& source, const TensorView& weight, const float* bias,
             const TensorView& target) const {
        if constexpr (to_large) {
            launch(this->queue_, target.elements(),
                   ToLarge<T>{source, weight.as<float>(), bias, target.as<T>(), geometry_});
        } else {
            launch(this->queue_, target.elements(),
                   ToSmall<T>{source, weight.as<float>(), bias, target.as<T>(), geometry_});
        }
    }

    Geometry geometry_;
    SumGeometry weights_;
    ColumnGeometry biases_;
};

template <typename T>
using ConvolutionPlan = DirectConvolutionPlan<T, ops::Convolution>;
template <typename T>
using TransposedConvolutionPlan = DirectConvolutionPlan<T, ops::TransposedConvolution>;

/// c[b, m, n] = scale * sum_k a[b, m, k] * b[b, k, n] (+ bias[n]) with any strides. Item: an element of c.
template <typename A, typename B, typename C>
struct Product {
    A a;
    B b;
    C* c;
    const float* bias;
    std::int64_t rows, columns, depth;
    std::int64_t a_batch, a_row, a_depth, b_batch, b_depth, b_column;
    float scale;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t n = item % columns, m = item / columns % rows, batch = item / (columns * rows);
        float sum = 0;
        for (std::int64_t k = 0; k < depth; ++k) {
            sum += static_cast<float>(a[batch * a_batch + m * a_row + k * a_depth]) *
                   static_cast<float>(b[batch * b_batch + k * b_depth + n * b_column]);
        }
        c[item] = C(scale * sum + (bias == nullptr ? 0.0f : bias[n]));
    }
};

/// Group: an element of the weight [out, in]; item: a row.
template <typename T>
struct LinearWeightSums {
    static constexpr int sums = 1;
    Terms<T> dy;
    const T* x;
    std::int64_t in, out;
    ParameterGradient target;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t row, double (&own)[1]) const {
        own[0] += static_cast<double>(dy[row * out + group / in]) *
                  static_cast<double>(static_cast<float>(x[row * in + group % in]));
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        target.store(group, total[0]);
    }
};

template <typename T>
class LinearPlan final : public KernelPlan<ops::Linear> {
  public:
    LinearPlan(const ops::Linear& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          rows_(input_shape(0).pixels()),
          in_(input_shape(0).channels()),
          out_(output_shape().channels()),
          weights_(in_ * out_, rows_),
          biases_(rows_, out_) {
        if (trains()) requirements_.backward_workspace = std::max(weights_.bytes(1), biases_.bytes(1));
    }
    std::string implementation() const override { return "cuda:direct"; }

    void forward(const device::ForwardArguments& arguments) override {
        const float* bias = inputs_.size() > 2 ? arguments.inputs[2].as<float>() : nullptr;
        launch(queue_, rows_ * out_,
               Product<const T*, const float*, T>{
                   arguments.inputs[0].as<T>(), arguments.inputs[1].as<float>(), arguments.outputs[0].as<T>(),
                   bias, rows_, out_, in_, 0, in_, 1, 0, 1, in_, 1.0f});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        auto* partials = reinterpret_cast<double*>(arguments.workspace);
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            launch(
                queue_, rows_ * in_,
                Product<Terms<T>, const float*, T>{dy, arguments.inputs[1].as<float>(), dx.as<T>(), nullptr,
                                                   rows_, in_, out_, 0, out_, 1, 0, in_, 1, 1.0f});
        }
        if (const auto target = parameter_gradient(arguments.input_gradients[1]); target) {
            launch_sums(queue_, weights_, partials,
                        LinearWeightSums<T>{dy, arguments.inputs[0].as<T>(), in_, out_, target});
        }
        if (inputs_.size() < 3) return;
        if (const auto target = parameter_gradient(arguments.input_gradients[2]); target) {
            launch_bias_gradient(queue_, biases_, dy, target, partials);
        }
    }

  private:
    std::int64_t rows_, in_, out_;
    SumGeometry weights_;
    ColumnGeometry biases_;
};

template <typename T>
class MatMulPlan final : public KernelPlan<ops::MatMul> {
  public:
    MatMulPlan(const ops::MatMul& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          batch_(output_shape()[0]),
          rows_(output_shape()[1]),
          columns_(output_shape()[2]),
          depth_(input_shape(0)[op.transpose_a == ops::Transpose::yes ? 1 : 2]) {}
    std::string implementation() const override { return "cuda:direct"; }

    void forward(const device::ForwardArguments& arguments) override {
        const Strides a = strides_of_a(), b = strides_of_b();
        launch(queue_, batch_ * rows_ * columns_,
               Product<const T*, const T*, T>{arguments.inputs[0].as<T>(), arguments.inputs[1].as<T>(),
                                              arguments.outputs[0].as<T>(), nullptr, rows_, columns_, depth_,
                                              rows_ * depth_, a.row, a.column, depth_ * columns_, b.row,
                                              b.column, factor()});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dc = terms_of<T>(arguments.output_gradients[0]);
        const std::int64_t c_batch = rows_ * columns_;
        if (const TensorView& da = arguments.input_gradients[0].view; da) {
            // da[m, k] = scale * sum_n dc[m, n] b[k, n], written [k, m] if a is stored so.
            const Strides b = strides_of_b();
            const T* values = arguments.inputs[1].as<T>();
            if (op_.transpose_a == ops::Transpose::no) {
                launch(queue_, da.elements(),
                       Product<Terms<T>, const T*, T>{dc, values, da.as<T>(), nullptr, rows_, depth_,
                                                      columns_, c_batch, columns_, 1, depth_ * columns_,
                                                      b.column, b.row, factor()});
            } else {
                launch(queue_, da.elements(),
                       Product<const T*, Terms<T>, T>{values, dc, da.as<T>(), nullptr, depth_, rows_,
                                                      columns_, depth_ * columns_, b.row, b.column, c_batch,
                                                      1, columns_, factor()});
            }
        }
        if (const TensorView& db = arguments.input_gradients[1].view; db) {
            const Strides a = strides_of_a();
            const T* values = arguments.inputs[0].as<T>();
            if (op_.transpose_b == ops::Transpose::no) {
                launch(queue_, db.elements(),
                       Product<const T*, Terms<T>, T>{values, dc, db.as<T>(), nullptr, depth_, columns_,
                                                      rows_, rows_ * depth_, a.column, a.row, c_batch,
                                                      columns_, 1, factor()});
            } else {
                launch(queue_, db.elements(),
                       Product<Terms<T>, const T*, T>{dc, values, db.as<T>(), nullptr, columns_, depth_,
                                                      rows_, c_batch, 1, columns_, rows_ * depth_, a.row,
                                                      a.column, factor()});
            }
        }
    }

  private:
    struct Strides {
        std::int64_t row, column;
    };
    /// Of op(a) [rows, depth] and op(b) [depth, columns] as stored.
    Strides strides_of_a() const {
        return op_.transpose_a == ops::Transpose::yes ? Strides{1, rows_} : Strides{depth_, 1};
    }
    Strides strides_of_b() const {
        return op_.transpose_b == ops::Transpose::yes ? Strides{1, depth_} : Strides{columns_, 1};
    }
    float factor() const { return static_cast<float>(op_.scale); }

    std::int64_t batch_, rows_, columns_, depth_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Convolution& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<ConvolutionPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::TransposedConvolution& op,
                                             const device::PlanRequest& request, Queue queue) {
    return make_typed<TransposedConvolutionPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Linear& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<LinearPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::MatMul& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<MatMulPlan>(op, request, queue);
}

}  // namespace terrane::cuda
