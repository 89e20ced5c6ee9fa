#include "formulas/share_loss.hpp"

#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

class ShareLossPlan final : public RefPlan<ops::ShareLoss> {
  public:
    ShareLossPlan(const ops::ShareLoss& op, const device::PlanRequest& request)
        : RefPlan(op, request), classes_(input_shape(0).channels()) {
        requirements_.gradient_terms = 1;
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Numbers numbers(arguments.inputs);
        double loss = 0;
        for (std::int64_t sample = 0; sample < input_shape(0).batch(); ++sample) {
            if (op_.kind == ops::ShareLoss::Kind::dice) {
                const Sample sums = sums_of(numbers, sample);
                double scores = 0;
                for (const auto& overlap : sums.classes) scores += formulas::dice_score(overlap, op_.smooth);
                loss += sums.weight * (1 - scores / static_cast<double>(classes_));
                continue;
            }
            visit(numbers, sample, [&](std::int64_t first, const std::vector<double>& truth, double weight) {
                loss -=
                    weight * std::log(numbers.shares[first + formulas::target_class(truth.data(), classes_)]);
            });
        }
        auto* output = arguments.outputs[0].as<double>();
        output[0] = loss;
        output[1] = 0;
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Numbers numbers(arguments.inputs);
        const GradientWriter dp(arguments.input_gradients[0]);
        for (std::int64_t i = 0; i < input_shape(0).elements(); ++i) dp.store(i, 0);
        for (std::int64_t sample = 0; sample < input_shape(0).batch(); ++sample) {
            const Sample sums = op_.kind == ops::ShareLoss::Kind::dice ? sums_of(numbers, sample) : Sample{};
            visit(numbers, sample, [&](std::int64_t first, const std::vector<double>& truth, double weight) {
                if (op_.kind == ops::ShareLoss::Kind::cross_entropy) {
                    const std::int64_t place = first + formulas::target_class(truth.data(), classes_);
                    dp.store(place, -op_.loss_weight * weight / numbers.shares[place]);
                    return;
                }
                for (std::size_t c = 0; c < truth.size(); ++c) {
                    dp.store(first + static_cast<std::int64_t>(c),
                             -op_.loss_weight * sums.weight / static_cast<double>(classes_) *
                                 formulas::dice_slope(sums.classes[c], truth[c], op_.smooth));
                }
            });
        }
    }

  private:
    struct Numbers {
        explicit Numbers(std::span<const TensorView> inputs)
            : shares(inputs[0]), targets(inputs[1]), weights(inputs[2]) {}
        AnyReader shares, targets, weights;
    };
    struct Sample {
        double weight = 0;
        std::vector<formulas::OverlapSums<double>> classes;
    };

    /// visit(first element, targets, weight) for the pixels of a sample that take part.
    template <typename Visit>
    void visit(const Numbers& numbers, std::int64_t sample, Visit visit) const {
        const std::int64_t pixels = input_shape(0).height() * input_shape(0).width();
        std::vector<double> truth(static_cast<std::size_t>(classes_));
        for (std::int64_t pixel = sample * pixels; pixel < (sample + 1) * pixels; ++pixel) {
            for (std::size_t c = 0; c < truth.size(); ++c) {
                truth[c] = numbers.targets[pixel * classes_ + static_cast<std::int64_t>(c)];
            }
            if (!formulas::takes_part(truth.data(), classes_, op_.void_pixels)) continue;
            visit(pixel * classes_, truth,
                  formulas::pixel_weight(truth.data(), numbers.weights, classes_, op_.void_pixels));
        }
    }

    Sample sums_of(const Numbers& numbers, std::int64_t sample) const {
        Sample sums;
        sums.classes.resize(static_cast<std::size_t>(classes_));
        visit(numbers, sample, [&](std::int64_t first, const std::vector<double>& truth, double weight) {
            sums.weight += weight;
            for (std::size_t c = 0; c < truth.size(); ++c) {
                const double share = numbers.shares[first + static_cast<std::int64_t>(c)];
                sums.classes[c].both += share * truth[c];
                sums.classes[c].either += share + truth[c];
            }
        });
        return sums;
    }

    std::int64_t classes_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::ShareLoss& op, const device::PlanRequest& request) {
    return std::make_unique<ShareLossPlan>(op, request);
}

}  // namespace terrane::ref
