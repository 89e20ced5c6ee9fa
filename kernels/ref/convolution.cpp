#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

/// Sizes of a convolution between a large map (x of a convolution, y of a transposed one) and a small one.
/// Tap r of the kernel joins small position p with large position p * stride - padding + r * dilation.
struct Geometry {
    std::int64_t kernel, stride, padding, dilation;
    Shape large, small;

    /// The large position of a pair, or -1 outside.
    std::int64_t large_position(std::int64_t position, std::int64_t tap, std::int64_t size) const {
        const std::int64_t result = position * stride - padding + tap * dilation;
        return result >= 0 && result < size ? result : -1;
    }
    /// The small position of a pair, or -1 if there is none.
    std::int64_t small_position(std::int64_t position, std::int64_t tap, std::int64_t size) const {
        const std::int64_t shifted = position + padding - tap * dilation;
        if (shifted < 0 || shifted % stride != 0) return -1;
        return shifted / stride < size ? shifted / stride : -1;
    }
};

std::int64_t pixel_of(const Shape& shape, std::int64_t n, std::int64_t row, std::int64_t column) {
    return (n * shape.height() + row) * shape.width() + column;
}

/// Calls visit(n, row, column) for every pixel of a map.
template <typename Visit>
void for_each_pixel(const Shape& shape, Visit visit) {
    for (std::int64_t n = 0; n < shape.batch(); ++n) {
        for (std::int64_t row = 0; row < shape.height(); ++row) {
            for (std::int64_t column = 0; column < shape.width(); ++column) visit(n, row, column);
        }
    }
}

/// Calls visit(tap, small pixel) for all taps through which a large pixel is joined with a small one.
template <typename Visit>
void for_each_small(const Geometry& g, std::int64_t n, std::int64_t row, std::int64_t column, Visit visit) {
    for (std::int64_t r = 0; r < g.kernel; ++r) {
        const std::int64_t p = g.small_position(row, r, g.small.height());
        for (std::int64_t s = 0; p >= 0 && s < g.kernel; ++s) {
            const std::int64_t q = g.small_position(column, s, g.small.width());
            if (q >= 0) visit(r * g.kernel + s, pixel_of(g.small, n, p, q));
        }
    }
}

/// Likewise, from a small pixel to the large ones.
template <typename Visit>
void for_each_large(const Geometry& g, std::int64_t n, std::int64_t p, std::int64_t q, Visit visit) {
    for (std::int64_t r = 0; r < g.kernel; ++r) {
        const std::int64_t row = g.large_position(p, r, g.large.height());
        for (std::int64_t s = 0; row >= 0 && s < g.kernel; ++s) {
            const std::int64_t column = g.large_position(q, s, g.large.width());
            if (column >= 0) visit(r * g.kernel + s, pixel_of(g.large, n, row, column));
        }
    }
}

template <typename T>
void bias_gradient(const GradientReader<T>& dy, const Shape& shape, const GradientWriter& target) {
    for (std::int64_t k = 0; k < shape.channels(); ++k) {
        double sum = 0;
        for (std::int64_t i = 0; i < shape.pixels(); ++i) sum += dy[i * shape.channels() + k];
        target.store(k, sum);
    }
}

template <typename T>
class ConvolutionPlan final : public RefPlan<ops::Convolution> {
  public:
    ConvolutionPlan(const ops::Convolution& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          geometry_{op.kernel, op.stride, op.padding, op.dilation, input_shape(0), output_shape()},
          in_(input_shape(0).channels()),
          out_(output_shape().channels()),
          in_group_(in_ / op.groups),
          out_group_(out_ / op.groups),
          taps_(op.kernel * op.kernel) {
        requirements_.backward_workspace = bytes_of_doubles(in_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader weight(arguments.inputs[1]);
        const Writer<T> y(arguments.outputs[0]);
        for_each_pixel(geometry_.small, [&](std::int64_t n, std::int64_t p, std::int64_t q) {
            for (std::int64_t k = 0; k < out_; ++k) {
                const std::int64_t first = k / out_group_ * in_group_;
                double sum = inputs_.size() > 2 ? AnyReader(arguments.inputs[2])[k] : 0.0;
                for_each_large(geometry_, n, p, q, [&](std::int64_t tap, std::int64_t pixel) {
                    for (std::int64_t c = 0; c < in_group_; ++c) {
                        sum += x[pixel * in_ + first + c] * weight[(k * taps_ + tap) * in_group_ + c];
                    }
                });
                y.store(pixel_of(geometry_.small, n, p, q) * out_ + k, sum);
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        double* sums = doubles(arguments.workspace);
        if (const GradientWriter dx(arguments.input_gradients[0]); dx) {
            input_gradient(AnyReader(arguments.inputs[1]), dy, dx, sums);
        }
        if (const GradientWriter dw(arguments.input_gradients[1]); dw) {
            weight_gradient(Reader<T>(arguments.inputs[0]), dy, dw, sums);
        }
        if (inputs_.size() > 2) {
            const GradientWriter db(arguments.input_gradients[2]);
            if (db) bias_gradient(dy, output_shape(), db);
        }
    }

  private:
    void input_gradient(const AnyReader& weight, const GradientReader<T>& dy, const GradientWriter& dx,
                        double* sums) const {
        for_each_pixel(geometry_.large, [&](std::int64_t n, std::int64_t row, std::int64_t column) {
            std::fill(sums, sums + in_, 0.0);
            for_each_small(geometry_, n, row, column, [&](std::int64_t tap, std::int64_t pixel) {
                for (std::int64_t k = 0; k < out_; ++k) {
                    const double gradient = dy[pixel * out_ + k];
                    double* group = sums + k / out_group_ * in_group_;
                    for (std::int64_t c = 0; c < in_group_; ++c) {
                        group[c] += gradient * weight[(k * taps_ + tap) * in_group_ + c];
                    }
                }
            });
            const std::int64_t first = pixel_of(geometry_.large, n, row, column) * in_;
            for (std::int64_t c = 0; c < in_; ++c) dx.store(first + c, sums[c]);
        });
    }

    void weight_gradient(const Reader<T>& x, const GradientReader<T>& dy, const GradientWriter& dw,
                         double* sums) const {
        for (std::int64_t k = 0; k < out_; ++k) {
            const std::int64_t first = k / out_group_ * in_group_;
            for (std::int64_t tap = 0; tap < taps_; ++tap) {
                std::fill(sums, sums + in_group_, 0.0);
                for_each_pixel(geometry_.small, [&](std::int64_t n, std::int64_t p, std::int64_t q) {
                    const std::int64_t row =
                        geometry_.large_position(p, tap / op_.kernel, geometry_.large.height());
                    const std::int64_t column =
                        geometry_.large_position(q, tap % op_.kernel, geometry_.large.width());
                    if (row < 0 || column < 0) return;
                    const double gradient = dy[pixel_of(geometry_.small, n, p, q) * out_ + k];
                    const std::int64_t source = pixel_of(geometry_.large, n, row, column) * in_ + first;
                    for (std::int64_t c = 0; c < in_group_; ++c) sums[c] += gradient * x[source + c];
                });
                for (std::int64_t c = 0; c < in_group_; ++c) {
                    dw.store((k * taps_ + tap) * in_group_ + c, sums[c]);
                }
            }
        }
    }

    Geometry geometry_;
    std::int64_t in_, out_, in_group_, out_group_, taps_;
};

template <typename T>
class TransposedConvolutionPlan final : public RefPlan<ops::TransposedConvolution> {
  public:
    TransposedConvolutionPlan(const ops::TransposedConvolution& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          geometry_{op.kernel, op.stride, op.padding, 1, output_shape(), input_shape(0)},
          in_(input_shape(0).channels()),
          out_(output_shape().channels()),
          taps_(op.kernel * op.kernel) {
        requirements_.forward_workspace = bytes_of_doubles(out_);
        requirements_.backward_workspace = bytes_of_doubles(out_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader weight(arguments.inputs[1]);
        const Writer<T> y(arguments.outputs[0]);
        double* sums = doubles(arguments.workspace);
        for_each_pixel(geometry_.large, [&](std::int64_t n, std::int64_t row, std::int64_t column) {
            for (std::int64_t k = 0; k < out_; ++k) {
                sums[k] = inputs_.size() > 2 ? AnyReader(arguments.inputs[2])[k] : 0.0;
            }
            for_each_small(geometry_, n, row, column, [&](std::int64_t tap, std::int64_t pixel) {
                for (std::int64_t c = 0; c < in_; ++c) {
                    const double value = x[pixel * in_ + c];
                    for (std::int64_t k = 0; k < out_; ++k) {
                        sums[k] += value * weight[(c * taps_ + tap) * out_ + k];
                    }
                }
            });
            const std::int64_t first = pixel_of(geometry_.large, n, row, column) * out_;
            for (std::int64_t k = 0; k < out_; ++k) y.store(first + k, sums[k]);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        if (const GradientWriter dx(arguments.input_gradients[0]); dx) {
            input_gradient(AnyReader(arguments.inputs[1]), dy, dx);
        }
        if (const GradientWriter dw(arguments.input_gradients[1]); dw) {
            weight_gradient(Reader<T>(arguments.inputs[0]), dy, dw, doubles(arguments.workspace));
        }
        if (inputs_.size() > 2) {
            const GradientWriter db(arguments.input_gradients[2]);
            if (db) bias_gradient(dy, output_shape(), db);
        }
    }

  private:
    void input_gradient(const AnyReader& weight, const GradientReader<T>& dy,
                        const GradientWriter& dx) const {
        for_each_pixel(geometry_.small, [&](std::int64_t n, std::int64_t p, std::int64_t q) {
            for (std::int64_t c = 0; c < in_; ++c) {
                double sum = 0;
                for_each_large(geometry_, n, p, q, [&](std::int64_t tap, std::int64_t pixel) {
                    for (std::int64_t k = 0; k < out_; ++k) {
                        sum += dy[pixel * out_ + k] * weight[(c * taps_ + tap) * out_ + k];
                    }
                });
                dx.store(pixel_of(geometry_.small, n, p, q) * in_ + c, sum);
            }
        });
    }

    void weight_gradient(const Reader<T>& x, const GradientReader<T>& dy, const GradientWriter& dw,
                         double* sums) const {
        for (std::int64_t c = 0; c < in_; ++c) {
            for (std::int64_t tap = 0; tap < taps_; ++tap) {
                std::fill(sums, sums + out_, 0.0);
                for_each_pixel(geometry_.small, [&](std::int64_t n, std::int64_t p, std::int64_t q) {
                    const std::int64_t row =
                        geometry_.large_position(p, tap / op_.kernel, geometry_.large.height());
                    const std::int64_t column =
                        geometry_.large_position(q, tap % op_.kernel, geometry_.large.width());
                    if (row < 0 || column < 0) return;
                    const double value = x[pixel_of(geometry_.small, n, p, q) * in_ + c];
                    const std::int64_t target = pixel_of(geometry_.large, n, row, column) * out_;
                    for (std::int64_t k = 0; k < out_; ++k) sums[k] += value * dy[target + k];
                });
                for (std::int64_t k = 0; k < out_; ++k) dw.store((c * taps_ + tap) * out_ + k, sums[k]);
            }
        }
    }

    Geometry geometry_;
    std::int64_t in_, out_, taps_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Convolution& op, const device::PlanRequest& request) {
    return make_typed<ConvolutionPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::TransposedConvolution& op,
                                     const device::PlanRequest& request) {
    return make_typed<TransposedConvolutionPlan>(op, request);
}

}  // namespace terrane::ref
