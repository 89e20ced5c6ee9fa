// What CADEF reads from the height map.
#include <algorithm>

#include "formulas/diffusion.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

class HeightEncodingPlan final : public RefPlan<ops::HeightEncoding> {
  public:
    HeightEncodingPlan(const ops::HeightEncoding& op, const device::PlanRequest& request)
        : RefPlan(op, request) {
        requirements_.forward_workspace = bytes_of_doubles(output_shape().height() * output_shape().width());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader height(arguments.inputs[0]), range(arguments.inputs.back());
        const AnyWriter y(arguments.outputs[0]);
        const Shape& whole = inputs_.back().shape;
        const std::int64_t whole_pixels = whole.height() * whole.width();
        const std::int64_t pixels = input_shape(0).height() * input_shape(0).width();
        for (std::int64_t sample = 0; sample < input_shape(0).batch(); ++sample) {
            const std::int64_t first = sample % whole.batch() * whole_pixels;
            double lowest = range[first], highest = lowest;
            for (std::int64_t i = 0; i < whole_pixels; ++i) {
                lowest = std::min(lowest, range[first + i]);
                highest = std::max(highest, range[first + i]);
            }
            double* pooled = doubles(arguments.workspace);
            const std::int64_t rows = output_shape().height(), columns = output_shape().width();
            for (std::int64_t i = 0; i < rows * columns; ++i) {
                double sum = 0;
                for (std::int64_t k = 0; k < op_.shrink * op_.shrink; ++k) {
                    const std::int64_t row = i / columns * op_.shrink + k / op_.shrink;
                    const std::int64_t column = i % columns * op_.shrink + k % op_.shrink;
                    const double value = height[sample * pixels + row * input_shape(0).width() + column];
                    sum += (value - lowest) / (highest - lowest + 1e-6);
                }
                pooled[i] = sum / static_cast<double>(op_.shrink * op_.shrink);
            }
            for (std::int64_t i = 0; i < rows * columns; ++i) {
                write_position(y, (sample * rows * columns + i) * output_shape().channels(), pooled, i);
            }
        }
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }

  private:
    void write_position(const AnyWriter& y, std::int64_t first, const double* pooled, std::int64_t i) const {
        constexpr std::int64_t position = ops::HeightEncoding::position_channels;
        const std::int64_t rows = output_shape().height(), columns = output_shape().width();
        const double at_x = formulas::spaced<double>(i % columns, columns);
        const double at_y = formulas::spaced<double>(i / columns, rows);
        for (std::int64_t c = 0; c < position; ++c)
            y.store(first + c, formulas::position_code(c, at_x, at_y));
        double gx = 0, gy = 0;
        for (int r = 0; r < 3; ++r) {
            for (int c = 0; c < 3; ++c) {
                std::int64_t row = i / columns + r - 1, column = i % columns + c - 1;
                if (op_.border == ops::HeightEncoding::Border::replicate) {
                    row = std::clamp<std::int64_t>(row, 0, rows - 1);
                    column = std::clamp<std::int64_t>(column, 0, columns - 1);
                }
                if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
                gx += formulas::sobel_x(r, c) * pooled[row * columns + column];
                gy += formulas::sobel_y(r, c) * pooled[row * columns + column];
            }
        }
        y.store(first + position, pooled[i]);
        y.store(first + position + 1, gx);
        y.store(first + position + 2, gy);
    }
};

class SlopeMagnitudePlan final : public RefPlan<ops::SlopeMagnitude> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const AnyReader g(arguments.inputs[0]);
        const AnyWriter y(arguments.outputs[0]);
        const auto counted = [&](double value) {
            return op_.counts == ops::SlopeMagnitude::Counts::falling ? std::max(value, 0.0) : value;
        };
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            const double gx = counted(g[2 * i]), gy = counted(g[2 * i + 1]);
            y.store(i, std::sqrt(gx * gx + gy * gy + 1e-12));
        }
    }
    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::HeightEncoding& op, const device::PlanRequest& request) {
    return std::make_unique<HeightEncodingPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::SlopeMagnitude& op, const device::PlanRequest& request) {
    return std::make_unique<SlopeMagnitudePlan>(op, request);
}

}  // namespace terrane::ref
