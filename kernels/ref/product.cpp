#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class LinearPlan final : public RefPlan<ops::Linear> {
  public:
    LinearPlan(const ops::Linear& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          rows_(input_shape(0).pixels()),
          in_(input_shape(0).channels()),
          out_(output_shape().channels()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader weight(arguments.inputs[1]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t row = 0; row < rows_; ++row) {
            for (std::int64_t k = 0; k < out_; ++k) {
                double sum = inputs_.size() > 2 ? AnyReader(arguments.inputs[2])[k] : 0.0;
                for (std::int64_t c = 0; c < in_; ++c) sum += x[row * in_ + c] * weight[k * in_ + c];
                y.store(row * out_ + k, sum);
            }
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        if (const GradientWriter dx(arguments.input_gradients[0]); dx) {
            const AnyReader weight(arguments.inputs[1]);
            for (std::int64_t row = 0; row < rows_; ++row) {
                for (std::int64_t c = 0; c < in_; ++c) {
                    double sum = 0;
                    for (std::int64_t k = 0; k < out_; ++k) sum += dy[row * out_ + k] * weight[k * in_ + c];
                    dx.store(row * in_ + c, sum);
                }
            }
        }
        if (const GradientWriter dw(arguments.input_gradients[1]); dw) {
            const Reader<T> x(arguments.inputs[0]);
            for (std::int64_t k = 0; k < out_; ++k) {
                for (std::int64_t c = 0; c < in_; ++c) {
                    double sum = 0;
                    for (std::int64_t row = 0; row < rows_; ++row) {
                        sum += dy[row * out_ + k] * x[row * in_ + c];
                    }
                    dw.store(k * in_ + c, sum);
                }
            }
        }
        if (inputs_.size() < 3) return;
        if (const GradientWriter db(arguments.input_gradients[2]); db) {
            for (std::int64_t k = 0; k < out_; ++k) {
                double sum = 0;
                for (std::int64_t row = 0; row < rows_; ++row) sum += dy[row * out_ + k];
                db.store(k, sum);
            }
        }
    }

  private:
    std::int64_t rows_, in_, out_;
};

/// Where element (row, column) of one matrix of a batch lies, as stored or turned.
struct MatrixIndex {
    std::int64_t rows, columns;  ///< of the matrix as used
    bool turned;

    std::int64_t operator()(std::int64_t batch, std::int64_t row, std::int64_t column) const {
        return batch * rows * columns + (turned ? column * rows + row : row * columns + column);
    }
};

template <typename T>
class MatMulPlan final : public RefPlan<ops::MatMul> {
  public:
    MatMulPlan(const ops::MatMul& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          rows_(output_shape()[1]),
          columns_(output_shape()[2]),
          inner_(input_shape(0)[op.transpose_a == ops::Transpose::yes ? 1 : 2]),
          a_{rows_, inner_, op.transpose_a == ops::Transpose::yes},
          b_{inner_, columns_, op.transpose_b == ops::Transpose::yes},
          c_{rows_, columns_, false} {}

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> a(arguments.inputs[0]), b(arguments.inputs[1]);
        const Writer<T> c(arguments.outputs[0]);
        for_each(rows_, columns_, [&](std::int64_t batch, std::int64_t row, std::int64_t column) {
            double sum = 0;
            for (std::int64_t i = 0; i < inner_; ++i) sum += a[a_(batch, row, i)] * b[b_(batch, i, column)];
            c.store(c_(batch, row, column), op_.scale * sum);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dc(arguments.output_gradients[0]);
        if (const GradientWriter da(arguments.input_gradients[0]); da) {
            const Reader<T> b(arguments.inputs[1]);
            for_each(rows_, inner_, [&](std::int64_t batch, std::int64_t row, std::int64_t i) {
                double sum = 0;
                for (std::int64_t column = 0; column < columns_; ++column) {
                    sum += dc[c_(batch, row, column)] * b[b_(batch, i, column)];
                }
                da.store(a_(batch, row, i), op_.scale * sum);
            });
        }
        if (const GradientWriter db(arguments.input_gradients[1]); db) {
            const Reader<T> a(arguments.inputs[0]);
            for_each(inner_, columns_, [&](std::int64_t batch, std::int64_t i, std::int64_t column) {
                double sum = 0;
                for (std::int64_t row = 0; row < rows_; ++row) {
                    sum += a[a_(batch, row, i)] * dc[c_(batch, row, column)];
                }
                db.store(b_(batch, i, column), op_.scale * sum);
            });
        }
    }

  private:
    template <typename Visit>
    void for_each(std::int64_t rows, std::int64_t columns, Visit visit) const {
        for (std::int64_t batch = 0; batch < output_shape()[0]; ++batch) {
            for (std::int64_t row = 0; row < rows; ++row) {
                for (std::int64_t column = 0; column < columns; ++column) visit(batch, row, column);
            }
        }
    }

    std::int64_t rows_, columns_, inner_;
    MatrixIndex a_, b_, c_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Linear& op, const device::PlanRequest& request) {
    return make_typed<LinearPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::MatMul& op, const device::PlanRequest& request) {
    return make_typed<MatMulPlan>(op, request);
}

}  // namespace terrane::ref
