#include "formulas/norm.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class BatchNormPlan final : public RefPlan<ops::BatchNorm> {
  public:
    BatchNormPlan(const ops::BatchNorm& op, const device::PlanRequest& request)
        : RefPlan(op, request), pixels_(input_shape(0).pixels()), channels_(input_shape(0).channels()) {
        if (trains()) requirements_.saved = bytes_of_doubles(3 * channels_ + 1);
        takes_batch_ = mode_ == device::Mode::training;
        if (takes_batch_ && op.scope == ops::NormScope::synchronised) {
            requirements_.forward_exchange = 2 * channels_ + 1;
            if (trains()) requirements_.backward_exchange = 2 * channels_;
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (arguments.phase == device::Phase::before_exchange) return write_sums(arguments);
        for (std::int64_t c = 0; c < channels_; ++c) {
            double count = static_cast<double>(pixels_);
            formulas::Moments moments;
            if (!takes_batch_) {
                moments = {AnyReader(arguments.inputs[3])[c], AnyReader(arguments.inputs[4])[c]};
            } else if (arguments.phase == device::Phase::after_exchange) {
                count = arguments.exchange[2 * channels_];
                moments = formulas::moments_from_sums(arguments.exchange[c],
                                                      arguments.exchange[channels_ + c], count);
            } else {
                moments = own_moments(Reader<T>(arguments.inputs[0]), c);
            }
            if (takes_batch_) update_running(arguments, c, moments, count);
            apply(arguments, c, moments, count);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Saved saved = saved_in(arguments.saved);
        for (std::int64_t c = 0; c < channels_; ++c) {
            double dshift = 0, dscale = 0;
            if (arguments.phase == device::Phase::after_exchange) {
                dshift = arguments.exchange[c];
                dscale = arguments.exchange[channels_ + c];
            } else {
                for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
                    const std::int64_t i = pixel * channels_ + c;
                    const double dz = gradient_after_relu(arguments, i);
                    dshift += dz;
                    dscale += dz * (Reader<T>(arguments.inputs[0])[i] - saved.mean[c]) * saved.inverse_std[c];
                }
                // The rank's own sums: the gradient reduction adds up parameters' gradients anyway.
                if (const GradientWriter target(arguments.input_gradients[1]); target)
                    target.store(c, dscale);
                if (const GradientWriter target(arguments.input_gradients[2]); target)
                    target.store(c, dshift);
            }
            if (arguments.phase == device::Phase::before_exchange) {
                arguments.exchange[c] = dshift;
                arguments.exchange[channels_ + c] = dscale;
            } else {
                input_gradients(arguments, saved, c, dshift, dscale);
            }
        }
    }

  private:
    struct Saved {
        double *mean, *inverse_std, *scale, *count;
    };
    Saved saved_in(std::byte* bytes) const {
        double* values = doubles(bytes);
        return {values, values + channels_, values + 2 * channels_, values + 3 * channels_};
    }

    void write_sums(const device::ForwardArguments& arguments) const {
        const Reader<T> x(arguments.inputs[0]);
        for (std::int64_t c = 0; c < channels_; ++c) {
            double sum = 0, squares = 0;
            for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
                const double value = x[pixel * channels_ + c];
                sum += value;
                squares += value * value;
            }
            arguments.exchange[c] = sum;
            arguments.exchange[channels_ + c] = squares;
        }
        arguments.exchange[2 * channels_] = static_cast<double>(pixels_);
    }

    formulas::Moments own_moments(const Reader<T>& x, std::int64_t c) const {
        double sum = 0, squares = 0;
        for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) sum += x[pixel * channels_ + c];
        const double mean = sum / static_cast<double>(pixels_);
        for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
            const double difference = x[pixel * channels_ + c] - mean;
            squares += difference * difference;
        }
        return {mean, squares / static_cast<double>(pixels_)};
    }

    void update_running(const device::ForwardArguments& arguments, std::int64_t c,
                        const formulas::Moments& moments, double count) const {
        const TensorView& mean = arguments.inputs[3];
        const TensorView& variance = arguments.inputs[4];
        AnyWriter(mean).store(c, formulas::running_value(AnyReader(mean)[c], moments.mean, op_.momentum));
        AnyWriter(variance).store(
            c, formulas::running_value(AnyReader(variance)[c], formulas::unbiased(moments.variance, count),
                                       op_.momentum));
    }

    void apply(const device::ForwardArguments& arguments, std::int64_t c, const formulas::Moments& moments,
               double count) const {
        const double inverse_std = formulas::inverse_deviation(moments.variance, op_.epsilon);
        const double scale = AnyReader(arguments.inputs[1])[c];
        const auto norm = formulas::norm_forward<double>(moments.mean, inverse_std, scale,
                                                         AnyReader(arguments.inputs[2])[c]);
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
            const std::int64_t i = pixel * channels_ + c;
            double value = norm.apply(x[i]);
            if (op_.residual == ops::Residual::yes) value += Reader<T>(arguments.inputs[5])[i];
            if (op_.rectify == ops::Rectify::yes && !(value > 0)) value = 0;
            y.store(i, value);
        }
        if (requirements_.saved == 0) return;
        const Saved saved = saved_in(arguments.saved);
        saved.mean[c] = moments.mean;
        saved.inverse_std[c] = inverse_std;
        saved.scale[c] = scale;  // backward sees only x and y
        *saved.count = count;
    }

    double gradient_after_relu(const device::BackwardArguments& arguments, std::int64_t i) const {
        const bool passes = op_.rectify == ops::Rectify::no || Reader<T>(arguments.outputs[0])[i] > 0;
        return passes ? GradientReader<T>(arguments.output_gradients[0])[i] : 0.0;
    }

    void input_gradients(const device::BackwardArguments& arguments, const Saved& saved, std::int64_t c,
                         double dshift, double dscale) const {
        const double scale = saved.scale[c];
        const double share = takes_batch_ ? scale / *saved.count : 0;  // running statistics are constants
        const auto norm = formulas::norm_backward<double>(saved.mean[c], saved.inverse_std[c], scale,
                                                          share * dshift, share * dscale);
        const GradientWriter dx(arguments.input_gradients[0]);
        const GradientWriter dresidual(op_.residual == ops::Residual::yes ? arguments.input_gradients[5]
                                                                          : device::GradientTarget{});
        for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
            const std::int64_t i = pixel * channels_ + c;
            const double dz = gradient_after_relu(arguments, i);
            if (dx) dx.store(i, norm.apply(Reader<T>(arguments.inputs[0])[i], dz));
            if (dresidual) dresidual.store(i, dz);
        }
    }

    std::int64_t pixels_, channels_;
    bool takes_batch_ = false;  ///< statistics of the batch rather than the running ones
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::BatchNorm& op, const device::PlanRequest& request) {
    return make_typed<BatchNormPlan>(op, request);
}

}  // namespace terrane::ref
