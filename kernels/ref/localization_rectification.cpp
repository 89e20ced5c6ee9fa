#include <algorithm>
#include <cmath>

#include "formulas/class_loss.hpp"
#include "formulas/rectification.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

/// Token by token of one sample after another; a row of similarities at a time. Exchange: entries that are
/// not zero, samples. Saved: what the own sum is multiplied by.
template <typename T>
class LocalizationRectificationPlan final : public RefPlan<ops::LocalizationRectification> {
  public:
    LocalizationRectificationPlan(const ops::LocalizationRectification& op,
                                  const device::PlanRequest& request)
        : RefPlan(op, request),
          tokens_(input_shape(0).height() * input_shape(0).width()),
          channels_(input_shape(0).channels()),
          width_(input_shape(1).channels()) {
        requirements_.gradient_terms = 1;
        requirements_.forward_exchange = 2;
        requirements_.forward_workspace = bytes_of_doubles(tokens_ + channels_);
        if (!trains()) return;
        requirements_.saved = bytes_of_doubles(1);
        requirements_.backward_workspace =
            bytes_of_doubles(2 * tokens_ + 2 * channels_ + width_ + tokens_ * (channels_ + width_));
    }

    void forward(const device::ForwardArguments& arguments) override {
        auto* output = arguments.outputs[0].as<double>();
        if (arguments.phase == device::Phase::after_exchange) {
            const double share = formulas::share_of_samples(arguments.exchange[0], arguments.exchange[1]);
            output[0] *= share;
            if (trains()) *doubles(arguments.saved) = share;
            return;
        }
        const Operands operands(arguments.inputs);
        double* const probability = doubles(arguments.workspace);
        double* const rectified = probability + tokens_;
        double sum = 0, entries = 0;
        for (std::int64_t n = 0; n < input_shape(0).batch(); ++n) {
            for (std::int64_t i = 0; i < tokens_; ++i) {
                rectify(operands, n, i, probability, rectified);
                for (std::int64_t c = 0; c < channels_; ++c) {
                    const double square = square_of_residual(operands, n, i, c, rectified);
                    sum += square;
                    entries += square != 0 ? 1 : 0;
                }
            }
        }
        output[0] = sum;
        output[1] = static_cast<double>(input_shape(0).batch());
        arguments.exchange[0] = entries;
        arguments.exchange[1] = output[1];
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Operands operands(arguments.inputs);
        const GradientWriter dx(arguments.input_gradients[0]), dquery(arguments.input_gradients[1]),
            dkey(arguments.input_gradients[2]), dgamma(arguments.input_gradients[3]);
        double* const probability = doubles(arguments.workspace);
        double* const dscore = probability + tokens_;
        double* const rectified = dscore + tokens_;
        double* const dresidual = rectified + channels_;
        double* const dunit = dresidual + channels_;
        double* const x_sums = dunit + width_;
        double* const key_sums = x_sums + tokens_ * channels_;
        const double factor = 2 * op_.loss_weight * *doubles(arguments.saved);
        double gamma_sum = 0;
        for (std::int64_t n = 0; n < input_shape(0).batch(); ++n) {
            std::fill(x_sums, x_sums + tokens_ * (channels_ + width_), 0.0);
            for (std::int64_t i = 0; i < tokens_; ++i) {
                const bool masked = rectify(operands, n, i, probability, rectified);
                for (std::int64_t c = 0; c < channels_; ++c) {
                    dresidual[c] = factor * residual(operands, n, i, c, rectified);
                    x_sums[i * channels_ + c] += dresidual[c];
                    if (masked) gamma_sum -= dresidual[c] * rectified[c];
                }
                for (std::int64_t d = 0; d < width_; ++d) dunit[d] = 0;
                if (masked) {
                    attend_backward(operands, n, i,
                                    {probability, dscore, dresidual, x_sums, key_sums, dunit});
                }
                store_unit_gradient(dquery, operands.query, n, i, dunit);
            }
            for (std::int64_t j = 0; j < tokens_; ++j) {
                for (std::int64_t c = 0; dx && c < channels_; ++c) {
                    dx.store((n * tokens_ + j) * channels_ + c, x_sums[j * channels_ + c]);
                }
                store_unit_gradient(dkey, operands.key, n, j, key_sums + j * width_);
            }
        }
        if (dgamma) dgamma.store(0, gamma_sum);
    }

  private:
    struct Operands {
        explicit Operands(std::span<const TensorView> inputs)
            : x(inputs[0]),
              query(inputs[1]),
              key(inputs[2]),
              gamma(AnyReader(inputs[3])[0]),
              map(inputs[4]) {}
        Reader<T> x, query, key;
        double gamma;
        TensorView map;
    };
    struct Row {
        double *probability, *dscore, *dresidual, *x_sums, *key_sums, *dunit;
    };

    /// Leaves A_i and sum_j A_ij x_j; false, without either, where token i is background.
    bool rectify(const Operands& operands, std::int64_t n, std::int64_t i, double* probability,
                 double* rectified) const {
        std::fill(rectified, rectified + channels_, 0.0);
        const Shape& x = input_shape(0);
        const std::int64_t height = operands.map.shape()[1], width = operands.map.shape()[2];
        if (!formulas::is_foreground_token(operands.map.template as<std::uint8_t>() + n * height * width,
                                           height, width, i / x.width(), i % x.width(), x.height(), x.width(),
                                           op_.background)) {
            return false;
        }
        const double length = length_of(operands.query, n, i);
        double total = 0;
        for (std::int64_t j = 0; j < tokens_; ++j) {
            double dot = 0;
            for (std::int64_t d = 0; d < width_; ++d) {
                dot += operands.query[place(n, i, d)] * operands.key[place(n, j, d)];
            }
            probability[j] = std::exp(dot / (length * length_of(operands.key, n, j)));
            total += probability[j];
        }
        for (std::int64_t j = 0; j < tokens_; ++j) {
            probability[j] /= total;
            for (std::int64_t c = 0; c < channels_; ++c) {
                rectified[c] += probability[j] * operands.x[(n * tokens_ + j) * channels_ + c];
            }
        }
        return true;
    }

    void attend_backward(const Operands& operands, std::int64_t n, std::int64_t i, const Row& row) const {
        double mean = 0;
        for (std::int64_t j = 0; j < tokens_; ++j) {
            row.dscore[j] = 0;
            for (std::int64_t c = 0; c < channels_; ++c) {
                const double dattended = -operands.gamma * row.dresidual[c];
                row.dscore[j] += dattended * operands.x[(n * tokens_ + j) * channels_ + c];
                row.x_sums[j * channels_ + c] += row.probability[j] * dattended;
            }
            mean += row.probability[j] * row.dscore[j];
        }
        const double length = length_of(operands.query, n, i);
        for (std::int64_t j = 0; j < tokens_; ++j) {
            const double slope = row.probability[j] * (row.dscore[j] - mean);
            const double key_length = length_of(operands.key, n, j);
            for (std::int64_t d = 0; d < width_; ++d) {
                row.dunit[d] += slope * operands.key[place(n, j, d)] / key_length;
                row.key_sums[j * width_ + d] += slope * operands.query[place(n, i, d)] / length;
            }
        }
    }

    /// From the gradient of a normalised token to that of the token.
    void store_unit_gradient(const GradientWriter& target, const Reader<T>& token, std::int64_t n,
                             std::int64_t i, const double* dunit) const {
        if (!target) return;
        const double length = length_of(token, n, i);
        double along = 0;
        for (std::int64_t d = 0; d < width_; ++d) along += token[place(n, i, d)] / length * dunit[d];
        for (std::int64_t d = 0; d < width_; ++d) {
            target.store(place(n, i, d), (dunit[d] - along * token[place(n, i, d)] / length) / length);
        }
    }

    double residual(const Operands& operands, std::int64_t n, std::int64_t i, std::int64_t c,
                    const double* rectified) const {
        return operands.x[(n * tokens_ + i) * channels_ + c] - operands.gamma * rectified[c];
    }
    double square_of_residual(const Operands& operands, std::int64_t n, std::int64_t i, std::int64_t c,
                              const double* rectified) const {
        const double value = residual(operands, n, i, c, rectified);
        return value * value;
    }
    std::int64_t place(std::int64_t n, std::int64_t token, std::int64_t d) const {
        return (n * tokens_ + token) * width_ + d;
    }
    double length_of(const Reader<T>& token, std::int64_t n, std::int64_t i) const {
        double sum = op_.epsilon;
        for (std::int64_t d = 0; d < width_; ++d) sum += token[place(n, i, d)] * token[place(n, i, d)];
        return std::sqrt(sum);
    }

    std::int64_t tokens_, channels_;
    std::int64_t width_;  ///< channels of queries and keys
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::LocalizationRectification& op,
                                     const device::PlanRequest& request) {
    return make_typed<LocalizationRectificationPlan>(op, request);
}

}  // namespace terrane::ref
