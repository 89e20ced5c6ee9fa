#include <cmath>

#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

/// Per sample and head: keys' maxima and sums [D], context [D, D]; backward adds the context's gradient [D,
/// D].
template <typename T>
class LinearAttentionPlan final : public RefPlan<ops::LinearAttention> {
  public:
    LinearAttentionPlan(const ops::LinearAttention& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          positions_(input_shape(0).height() * input_shape(0).width()),
          width_(output_shape().channels() / op.heads) {
        requirements_.forward_workspace = bytes_of_doubles(2 * width_ + width_ * width_ + width_);
        requirements_.backward_workspace = bytes_of_doubles(2 * width_ + 2 * width_ * width_ + 4 * width_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> qkv(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for_each_head([&](std::int64_t sample, std::int64_t head) {
            double* keys = doubles(arguments.workspace);
            double* context = keys + 2 * width_;
            double* query = context + width_ * width_;
            prepare(qkv, sample, head, keys, context);
            for (std::int64_t n = 0; n < positions_; ++n) {
                read_query(qkv, sample, head, n, query);
                for (std::int64_t e = 0; e < width_; ++e) {
                    double sum = 0;
                    for (std::int64_t d = 0; d < width_; ++d)
                        sum += context[d * width_ + e] * query[d] * scale();
                    y.store(out(sample, head, n) + e, sum);
                }
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Reader<T> qkv(arguments.inputs[0]);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const GradientWriter dx(arguments.input_gradients[0]);
        for_each_head([&](std::int64_t sample, std::int64_t head) {
            double* keys = doubles(arguments.workspace);
            double* context = keys + 2 * width_;
            double* slope = context + width_ * width_;
            double* query = slope + width_ * width_;
            double* dquery = query + width_;
            double* along = dquery + width_;
            prepare(qkv, sample, head, keys, context);
            std::fill(slope, slope + width_ * width_, 0.0);
            for (std::int64_t n = 0; n < positions_; ++n) {
                read_query(qkv, sample, head, n, query);
                double mean = 0;
                for (std::int64_t d = 0; d < width_; ++d) {
                    dquery[d] = 0;
                    for (std::int64_t e = 0; e < width_; ++e) {
                        const double g = dy[out(sample, head, n) + e];
                        slope[d * width_ + e] += query[d] * scale() * g;
                        dquery[d] += context[d * width_ + e] * g * scale();
                    }
                    mean += dquery[d] * query[d];
                }
                for (std::int64_t d = 0; d < width_; ++d) {
                    dx.store(in(sample, head, n, 0) + d, query[d] * (dquery[d] - mean));
                }
            }
            for (std::int64_t d = 0; d < width_; ++d) {
                along[d] = 0;
                for (std::int64_t e = 0; e < width_; ++e) {
                    along[d] += slope[d * width_ + e] * context[d * width_ + e];
                }
            }
            for (std::int64_t n = 0; n < positions_; ++n) {
                for (std::int64_t d = 0; d < width_; ++d) {
                    double dkey = 0, dvalue = 0;
                    for (std::int64_t e = 0; e < width_; ++e) {
                        dkey += slope[d * width_ + e] * qkv[in(sample, head, n, 2) + e];
                        dvalue += slope[e * width_ + d] * key(qkv, sample, head, n, e, keys);
                    }
                    dx.store(in(sample, head, n, 1) + d,
                             key(qkv, sample, head, n, d, keys) * (dkey - along[d]));
                    dx.store(in(sample, head, n, 2) + d, dvalue);
                }
            }
        });
    }

  private:
    template <typename Visit>
    void for_each_head(Visit visit) const {
        for (std::int64_t sample = 0; sample < input_shape(0).batch(); ++sample) {
            for (std::int64_t head = 0; head < op_.heads; ++head) visit(sample, head);
        }
    }
    double scale() const { return 1 / std::sqrt(static_cast<double>(width_)); }
    /// First element of queries (0), keys (1) or values (2).
    std::int64_t in(std::int64_t sample, std::int64_t head, std::int64_t n, std::int64_t part) const {
        return (sample * positions_ + n) * 3 * op_.heads * width_ + (part * op_.heads + head) * width_;
    }
    std::int64_t out(std::int64_t sample, std::int64_t head, std::int64_t n) const {
        return ((sample * positions_ + n) * op_.heads + head) * width_;
    }
    double key(const Reader<T>& qkv, std::int64_t sample, std::int64_t head, std::int64_t n, std::int64_t d,
               const double* keys) const {
        return std::exp(qkv[in(sample, head, n, 1) + d] - keys[d]) / keys[width_ + d];
    }
    void prepare(const Reader<T>& qkv, std::int64_t sample, std::int64_t head, double* keys,
                 double* context) const {
        for (std::int64_t d = 0; d < width_; ++d) {
            keys[d] = qkv[in(sample, head, 0, 1) + d];
            for (std::int64_t n = 1; n < positions_; ++n) {
                keys[d] = std::max(keys[d], qkv[in(sample, head, n, 1) + d]);
            }
            keys[width_ + d] = 0;
            for (std::int64_t n = 0; n < positions_; ++n) {
                keys[width_ + d] += std::exp(qkv[in(sample, head, n, 1) + d] - keys[d]);
            }
            for (std::int64_t e = 0; e < width_; ++e) {
                double sum = 0;
                for (std::int64_t n = 0; n < positions_; ++n) {
                    sum += key(qkv, sample, head, n, d, keys) * qkv[in(sample, head, n, 2) + e];
                }
                context[d * width_ + e] = sum;
            }
        }
    }
    /// Softmax of the queries at one position, without the scale.
    void read_query(const Reader<T>& qkv, std::int64_t sample, std::int64_t head, std::int64_t n,
                    double* query) const {
        double highest = qkv[in(sample, head, n, 0)], sum = 0;
        for (std::int64_t d = 0; d < width_; ++d)
            highest = std::max(highest, qkv[in(sample, head, n, 0) + d]);
        for (std::int64_t d = 0; d < width_; ++d) {
            sum += query[d] = std::exp(qkv[in(sample, head, n, 0) + d] - highest);
        }
        for (std::int64_t d = 0; d < width_; ++d) query[d] /= sum;
    }

    std::int64_t positions_, width_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::LinearAttention& op, const device::PlanRequest& request) {
    return make_typed<LinearAttentionPlan>(op, request);
}

}  // namespace terrane::ref
