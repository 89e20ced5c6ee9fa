#include <algorithm>
#include <cmath>

#include "formulas/dropout.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class AttentionPlan final : public RefPlan<ops::Attention> {
  public:
    AttentionPlan(const ops::Attention& op, const device::PlanRequest& request)
        : RefPlan(op, request), geometry_(op, request.descriptor.inputs) {
        const std::size_t row = bytes_of_doubles(geometry_.keys);
        requirements_.forward_workspace = row;
        if (trains()) requirements_.backward_workspace = 2 * row + 2 * bytes_of_doubles(head_elements());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Operands operands = operands_of(arguments.inputs);
        const Writer<T> y(arguments.outputs[0]);
        double* const probability = doubles(arguments.workspace);
        for_each_query([&](const Place& at) {
            find_probabilities(operands, at, probability);
            for (std::int64_t c = 0; c < geometry_.width; ++c) {
                double sum = 0;
                for (std::int64_t j = 0; j < geometry_.keys; ++j) {
                    sum += probability[j] * factor(*arguments.step, at, j) *
                           operands.value[index(geometry_.value, geometry_.keys, at.sample, j, at.head, c)];
                }
                y.store(output_index(at, c), sum);
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Operands operands = operands_of(arguments.inputs);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const GradientWriter dquery(arguments.input_gradients[geometry_.query.input]);
        const GradientWriter dkey(arguments.input_gradients[geometry_.key.input]);
        const GradientWriter dvalue(arguments.input_gradients[geometry_.value.input]);
        double* const probability = doubles(arguments.workspace);
        double* const dscore = probability + geometry_.keys;
        double* const key_sums = dscore + geometry_.keys;
        double* const value_sums = key_sums + head_elements();
        for_each_query([&](const Place& at) {
            if (at.query == 0) std::fill(key_sums, key_sums + 2 * head_elements(), 0.0);
            find_probabilities(operands, at, probability);
            double mean = 0;
            for (std::int64_t j = 0; j < geometry_.keys; ++j) {
                const double kept = factor(*arguments.step, at, j);
                double sum = 0;
                for (std::int64_t c = 0; c < geometry_.width; ++c) {
                    const double gradient = dy[output_index(at, c)];
                    sum += gradient *
                           operands.value[index(geometry_.value, geometry_.keys, at.sample, j, at.head, c)];
                    value_sums[j * geometry_.width + c] += probability[j] * kept * gradient;
                }
                dscore[j] = sum * kept;
                mean += probability[j] * dscore[j];
            }
            for (std::int64_t j = 0; j < geometry_.keys; ++j) {
                dscore[j] = geometry_.scale * probability[j] * (dscore[j] - mean);
            }
            for (std::int64_t c = 0; c < geometry_.width; ++c) {
                const std::int64_t place =
                    index(geometry_.query, geometry_.queries, at.sample, at.query, at.head, c);
                double sum = 0;
                for (std::int64_t j = 0; j < geometry_.keys; ++j) {
                    sum += dscore[j] *
                           operands.key[index(geometry_.key, geometry_.keys, at.sample, j, at.head, c)];
                    key_sums[j * geometry_.width + c] += dscore[j] * operands.query[place];
                }
                if (dquery) dquery.store(place, sum);
            }
            if (at.query + 1 < geometry_.queries) return;
            store_head(dkey, geometry_.key, at, key_sums);
            store_head(dvalue, geometry_.value, at, value_sums);
        });
    }

  private:
    struct Operands {
        Reader<T> query, key, value;
    };
    struct Place {
        std::int64_t sample, head, query;
    };

    Operands operands_of(std::span<const TensorView> inputs) const {
        return {Reader<T>(inputs[geometry_.query.input]), Reader<T>(inputs[geometry_.key.input]),
                Reader<T>(inputs[geometry_.value.input])};
    }

    std::int64_t head_elements() const { return geometry_.keys * geometry_.width; }

    std::int64_t index(const ops::AttentionGeometry::Operand& operand, std::int64_t tokens,
                       std::int64_t sample, std::int64_t token, std::int64_t head, std::int64_t c) const {
        return (sample * tokens + token) * operand.stride + operand.offset + head * geometry_.width + c;
    }
    std::int64_t output_index(const Place& at, std::int64_t c) const {
        return ((at.sample * geometry_.queries + at.query) * geometry_.heads + at.head) * geometry_.width + c;
    }

    template <typename Visit>
    void for_each_query(Visit visit) const {
        for (std::int64_t sample = 0; sample < geometry_.batch; ++sample) {
            for (std::int64_t head = 0; head < geometry_.heads; ++head) {
                for (std::int64_t i = 0; i < geometry_.queries; ++i) visit(Place{sample, head, i});
            }
        }
    }

    void find_probabilities(const Operands& operands, const Place& at, double* row) const {
        double largest = -INFINITY, total = 0;
        for (std::int64_t j = 0; j < geometry_.keys; ++j) {
            double sum = 0;
            for (std::int64_t c = 0; c < geometry_.width; ++c) {
                sum +=
                    operands
                        .query[index(geometry_.query, geometry_.queries, at.sample, at.query, at.head, c)] *
                    operands.key[index(geometry_.key, geometry_.keys, at.sample, j, at.head, c)];
            }
            row[j] = geometry_.scale * sum;
            largest = std::max(largest, row[j]);
        }
        for (std::int64_t j = 0; j < geometry_.keys; ++j) {
            row[j] = std::exp(row[j] - largest);
            total += row[j];
        }
        for (std::int64_t j = 0; j < geometry_.keys; ++j) row[j] /= total;
    }

    double factor(const device::StepState& step, const Place& at, std::int64_t key) const {
        if (mode_ == device::Mode::inference || op_.dropout == 0) return 1;
        const std::int64_t per_sample = geometry_.heads * geometry_.queries * geometry_.keys;
        const std::int64_t element = (at.head * geometry_.queries + at.query) * geometry_.keys + key;
        const bool keeps =
            formulas::dropout_keeps(step.seed, op_.stream, step.step, step.first_sample + at.sample,
                                    per_sample, element, op_.dropout);
        return keeps ? 1 / (1 - op_.dropout) : 0;
    }

    void store_head(const GradientWriter& target, const ops::AttentionGeometry::Operand& operand,
                    const Place& at, const double* sums) const {
        if (!target) return;
        for (std::int64_t j = 0; j < geometry_.keys; ++j) {
            for (std::int64_t c = 0; c < geometry_.width; ++c) {
                target.store(index(operand, geometry_.keys, at.sample, j, at.head, c),
                             sums[j * geometry_.width + c]);
            }
        }
    }

    ops::AttentionGeometry geometry_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Attention& op, const device::PlanRequest& request) {
    return make_typed<AttentionPlan>(op, request);
}

}  // namespace terrane::ref
