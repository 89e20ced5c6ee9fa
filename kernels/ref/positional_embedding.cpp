#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class PositionalEmbeddingPlan final : public RefPlan<ops::PositionalEmbedding> {
  public:
    PositionalEmbeddingPlan(const ops::PositionalEmbedding& op, const device::PlanRequest& request)
        : RefPlan(op, request),
          skipped_(op.skip * input_shape(0).channels()),
          per_sample_(input_shape(0).elements() / input_shape(0).batch()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const AnyReader embedding(arguments.inputs[1]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            y.store(i, x[i] + embedding[skipped_ + i % per_sample_]);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        if (const GradientWriter dx(arguments.input_gradients[0]); dx) {
            for (std::int64_t i = 0; i < output_shape().elements(); ++i) dx.store(i, dy[i]);
        }
        if (const GradientWriter dp(arguments.input_gradients[1]); dp) {
            for (std::int64_t i = 0; i < skipped_; ++i) dp.store(i, 0);
            for (std::int64_t i = 0; i < per_sample_; ++i) {
                double sum = 0;
                for (std::int64_t n = 0; n < output_shape().batch(); ++n) sum += dy[n * per_sample_ + i];
                dp.store(skipped_ + i, sum);
            }
        }
    }

  private:
    std::int64_t skipped_, per_sample_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::PositionalEmbedding& op, const device::PlanRequest& request) {
    return make_typed<PositionalEmbeddingPlan>(op, request);
}

}  // namespace terrane::ref
