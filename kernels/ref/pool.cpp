#include "formulas/adaptive_pool.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class PoolPlan final : public RefPlan<ops::Pool> {
  public:
    PoolPlan(const ops::Pool& op, const device::PlanRequest& request)
        : RefPlan(op, request), x_(input_shape(0)), y_(output_shape()) {
        if (op.kind == ops::PoolKind::maximum && trains()) {
            requirements_.saved = static_cast<std::size_t>(y_.elements());
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        auto* places = reinterpret_cast<std::uint8_t*>(requirements_.saved > 0 ? arguments.saved : nullptr);
        for_each_output([&](std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t c, std::int64_t i) {
            bool first = true;
            double largest = 0, sum = 0;
            std::int64_t place = 0, count = 0;
            for (std::int64_t tap = 0; tap < op_.kernel * op_.kernel; ++tap) {
                const std::int64_t row = p * op_.stride - op_.padding + tap / op_.kernel;
                const std::int64_t column = q * op_.stride - op_.padding + tap % op_.kernel;
                if (row < 0 || row >= x_.height() || column < 0 || column >= x_.width()) continue;
                const double value = x[index(x_, n, row, column, c)];
                if (first || value > largest) {
                    largest = value;
                    place = tap;
                }
                first = false;
                sum += value;
                ++count;
            }
            y.store(i, op_.kind == ops::PoolKind::maximum ? largest : sum / static_cast<double>(count));
            if (places != nullptr) places[i] = static_cast<std::uint8_t>(place);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientWriter dx(arguments.input_gradients[0]);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const auto* places = reinterpret_cast<const std::uint8_t*>(arguments.saved);
        for (std::int64_t n = 0; n < x_.batch(); ++n) {
            for (std::int64_t row = 0; row < x_.height(); ++row) {
                for (std::int64_t column = 0; column < x_.width(); ++column) {
                    for (std::int64_t c = 0; c < x_.channels(); ++c) {
                        dx.store(index(x_, n, row, column, c), gathered(dy, places, n, row, column, c));
                    }
                }
            }
        }
    }

  private:
    static std::int64_t index(const Shape& shape, std::int64_t n, std::int64_t row, std::int64_t column,
                              std::int64_t c) {
        return ((n * shape.height() + row) * shape.width() + column) * shape.channels() + c;
    }

    template <typename Visit>
    void for_each_output(Visit visit) const {
        std::int64_t i = 0;
        for (std::int64_t n = 0; n < y_.batch(); ++n) {
            for (std::int64_t p = 0; p < y_.height(); ++p) {
                for (std::int64_t q = 0; q < y_.width(); ++q) {
                    for (std::int64_t c = 0; c < y_.channels(); ++c) visit(n, p, q, c, i++);
                }
            }
        }
    }

    /// Positions of window `p` inside a side of `size`.
    std::int64_t inside(std::int64_t p, std::int64_t size) const {
        const std::int64_t begin = std::max<std::int64_t>(p * op_.stride - op_.padding, 0);
        return std::min(p * op_.stride - op_.padding + op_.kernel, size) - begin;
    }

    double gathered(const GradientReader<T>& dy, const std::uint8_t* places, std::int64_t n, std::int64_t row,
                    std::int64_t column, std::int64_t c) const {
        double sum = 0;
        for (std::int64_t p = 0; p < y_.height(); ++p) {
            const std::int64_t r = row + op_.padding - p * op_.stride;
            if (r < 0 || r >= op_.kernel) continue;
            for (std::int64_t q = 0; q < y_.width(); ++q) {
                const std::int64_t s = column + op_.padding - q * op_.stride;
                if (s < 0 || s >= op_.kernel) continue;
                const std::int64_t i = index(y_, n, p, q, c);
                if (op_.kind == ops::PoolKind::average) {
                    sum += dy[i] / static_cast<double>(inside(p, x_.height()) * inside(q, x_.width()));
                } else if (places[i] == r * op_.kernel + s) {
                    sum += dy[i];
                }
            }
        }
        return sum;
    }

    Shape x_, y_;
};

template <typename T>
class AdaptivePoolPlan final : public RefPlan<ops::AdaptivePool> {
  public:
    AdaptivePoolPlan(const ops::AdaptivePool& op, const device::PlanRequest& request)
        : RefPlan(op, request), x_(input_shape(0)), y_(output_shape()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < y_.elements(); ++i) {
            const std::int64_t c = i % y_.channels();
            const std::int64_t pixel = i / y_.channels();
            const auto rows = formulas::bin_range(pixel / y_.width() % y_.height(), x_.height(), y_.height());
            const auto columns = formulas::bin_range(pixel % y_.width(), x_.width(), y_.width());
            const std::int64_t n = pixel / (y_.height() * y_.width());
            double sum = 0;
            for (std::int64_t row = rows.begin; row < rows.end; ++row) {
                for (std::int64_t column = columns.begin; column < columns.end; ++column) {
                    sum += x[((n * x_.height() + row) * x_.width() + column) * x_.channels() + c];
                }
            }
            y.store(i, sum / area(rows, columns));
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientWriter dx(arguments.input_gradients[0]);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        for (std::int64_t i = 0; i < x_.elements(); ++i) {
            const std::int64_t c = i % x_.channels();
            const std::int64_t pixel = i / x_.channels();
            const auto bin_rows =
                formulas::bins_holding(pixel / x_.width() % x_.height(), x_.height(), y_.height());
            const auto bin_columns = formulas::bins_holding(pixel % x_.width(), x_.width(), y_.width());
            const std::int64_t n = pixel / (x_.height() * x_.width());
            double sum = 0;
            for (std::int64_t p = bin_rows.begin; p < bin_rows.end; ++p) {
                for (std::int64_t q = bin_columns.begin; q < bin_columns.end; ++q) {
                    sum += dy[((n * y_.height() + p) * y_.width() + q) * y_.channels() + c] /
                           area(formulas::bin_range(p, x_.height(), y_.height()),
                                formulas::bin_range(q, x_.width(), y_.width()));
                }
            }
            dx.store(i, sum);
        }
    }

  private:
    static double area(const formulas::Range& rows, const formulas::Range& columns) {
        return static_cast<double>((rows.end - rows.begin) * (columns.end - columns.begin));
    }

    Shape x_, y_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Pool& op, const device::PlanRequest& request) {
    return make_typed<PoolPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::AdaptivePool& op, const device::PlanRequest& request) {
    return make_typed<AdaptivePoolPlan>(op, request);
}

}  // namespace terrane::ref
