// Ops that rearrange or mix whole channels: concat, slice, gated sum.
#include "formulas/activation.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class ConcatPlan final : public RefPlan<ops::Concat> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Writer<T> y(arguments.outputs[0]);
        std::int64_t first = 0;
        for (const TensorView& input : arguments.inputs) {
            const Reader<T> x(input);
            for_each(input.shape(), first,
                     [&](std::int64_t inside, std::int64_t joined) { y.store(joined, x[inside]); });
            first += input.shape().channels();
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        std::int64_t first = 0;
        for (std::size_t i = 0; i < inputs_.size(); ++i) {
            if (const GradientWriter dx(arguments.input_gradients[i]); dx) {
                for_each(input_shape(i), first,
                         [&](std::int64_t inside, std::int64_t joined) { dx.store(inside, dy[joined]); });
            }
            first += input_shape(i).channels();
        }
    }

  private:
    template <typename Visit>
    void for_each(const Shape& part, std::int64_t first, Visit visit) const {
        for (std::int64_t pixel = 0; pixel < part.pixels(); ++pixel) {
            for (std::int64_t c = 0; c < part.channels(); ++c) {
                visit(pixel * part.channels() + c, pixel * output_shape().channels() + first + c);
            }
        }
    }
};

template <typename T>
class SlicePlan final : public RefPlan<ops::Slice> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for_each([&](std::int64_t whole, std::int64_t part) {
            if (part >= 0) y.store(part, x[whole]);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const GradientWriter dx(arguments.input_gradients[0]);
        for_each([&](std::int64_t whole, std::int64_t part) { dx.store(whole, part >= 0 ? dy[part] : 0.0); });
    }

  private:
    /// Calls visit(position in x, position in y or -1 outside the slice).
    template <typename Visit>
    void for_each(Visit visit) const {
        const std::int64_t channels = input_shape(0).channels();
        for (std::int64_t i = 0; i < input_shape(0).elements(); ++i) {
            const std::int64_t c = i % channels;
            const bool inside = c >= op_.begin && c < op_.end;
            visit(i, inside ? i / channels * (op_.end - op_.begin) + c - op_.begin : -1);
        }
    }
};

template <typename T>
class GatedSumPlan final : public RefPlan<ops::GatedSum> {
  public:
    GatedSumPlan(const ops::GatedSum& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          streams_(static_cast<std::int64_t>(inputs_.size()) - 2),
          pixels_(input_shape(0).pixels()),
          area_(pixels_ / input_shape(0).batch()),
          channels_(input_shape(0).channels()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const Writer<T> z(arguments.outputs[0]);
        for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
            for (std::int64_t c = 0; c < channels_; ++c) {
                double sum = 0;
                for (std::int64_t m = 0; m < streams_; ++m) {
                    const double factor =
                        presence(arguments.inputs, pixel, m) * gate(arguments.inputs, pixel, m);
                    // An absent modality's stream is not looked at, whatever it holds.
                    if (factor != 0) sum += factor * stream(arguments.inputs, m)[pixel * channels_ + c];
                }
                z.store(pixel * channels_ + c, sum);
            }
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dz(arguments.output_gradients[0]);
        const GradientWriter dgates(arguments.input_gradients[static_cast<std::size_t>(streams_)]);
        for (std::int64_t m = 0; m < streams_; ++m) {
            const GradientWriter dx(arguments.input_gradients[static_cast<std::size_t>(m)]);
            for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
                const double present = presence(arguments.inputs, pixel, m);
                const double g = gate(arguments.inputs, pixel, m);
                double sum = 0;
                for (std::int64_t c = 0; c < channels_; ++c) {
                    const std::int64_t i = pixel * channels_ + c;
                    if (dx) dx.store(i, present * g * dz[i]);
                    if (dgates && present != 0) sum += dz[i] * stream(arguments.inputs, m)[i];
                }
                if (dgates) dgates.store(pixel * streams_ + m, present * g * (1 - g) * sum);
            }
        }
    }

  private:
    Reader<T> stream(std::span<const TensorView> inputs, std::int64_t m) const {
        return Reader<T>(inputs[static_cast<std::size_t>(m)]);
    }
    double gate(std::span<const TensorView> inputs, std::int64_t pixel, std::int64_t m) const {
        return formulas::sigmoid(stream(inputs, streams_)[pixel * streams_ + m]);
    }
    double presence(std::span<const TensorView> inputs, std::int64_t pixel, std::int64_t m) const {
        return AnyReader(inputs[static_cast<std::size_t>(streams_) + 1])[pixel / area_ * streams_ + m];
    }

    std::int64_t streams_, pixels_, area_, channels_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Concat& op, const device::PlanRequest& request) {
    return make_typed<ConcatPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Slice& op, const device::PlanRequest& request) {
    return make_typed<SlicePlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::GatedSum& op, const device::PlanRequest& request) {
    return make_typed<GatedSumPlan>(op, request);
}

}  // namespace terrane::ref
