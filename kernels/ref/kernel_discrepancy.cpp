#include "formulas/discrepancy_draw.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

/// Saved, per group: the weight W, then per slot the gradient of T by the drawn shares. The list of
/// formulas::DiscrepancyList is exchanged between ranks or, for one rank, lies in the workspace.
class KernelDiscrepancyPlan final : public RefPlan<ops::KernelDiscrepancy> {
  public:
    KernelDiscrepancyPlan(const ops::KernelDiscrepancy& op, const device::PlanRequest& request)
        : RefPlan(op, request), list_(op_, input_shape(0)) {
        requirements_.gradient_terms = 1;
        requirements_.forward_workspace =
            bytes_of_doubles(list_.classes + (list_.global() ? 0 : list_.size()));
        if (list_.global()) requirements_.forward_exchange = list_.size();
        if (trains()) requirements_.saved = bytes_of_doubles(list_.groups * kept());
    }

    void forward(const device::ForwardArguments& arguments) override {
        double* pixel = doubles(arguments.workspace);
        double* list = list_.global() ? arguments.exchange : pixel + list_.classes;
        const AnyReader shares(arguments.inputs[0]), truths(arguments.inputs[1]),
            weights(arguments.inputs[2]);
        double total = 0;
        for (std::int64_t group = 0; group < list_.groups; ++group) {
            const std::int64_t first = group * list_.own_pixels * list_.classes;
            if (arguments.phase != device::Phase::after_exchange) {
                list_.gather(
                    *arguments.step, group, [&](std::int64_t i) { return shares[first + i]; },
                    [&](std::int64_t i) { return truths[first + i]; }, weights, list, pixel);
            }
            if (arguments.phase != device::Phase::before_exchange) total += finish(arguments, group, list);
        }
        if (arguments.phase == device::Phase::before_exchange) return;
        auto* output = arguments.outputs[0].as<double>();
        output[0] = total;
        output[1] = 0;
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientWriter dp(arguments.input_gradients[0]);
        for (std::int64_t i = 0; i < input_shape(0).elements(); ++i) dp.store(i, 0);
        for (std::int64_t group = 0; group < list_.groups; ++group) {
            const double* saved = doubles(arguments.saved) + group * kept();
            const formulas::DiscrepancyList::Draw draw(list_, *arguments.step, group, 0);
            for (std::int64_t slot = 0; slot < list_.slots; ++slot) {
                const std::int64_t at = draw(slot);
                if (at < 0) continue;
                for (std::int64_t c = 0; c < list_.classes; ++c) {
                    dp.store((group * list_.own_pixels + at) * list_.classes + c,
                             op_.loss_weight * saved[0] * saved[1 + slot * list_.classes + c]);
                }
            }
        }
    }

  private:
    std::int64_t kept() const { return 1 + list_.slots * list_.classes; }

    double squared_distance(const double* a, const double* b) const {
        double sum = 0;
        for (std::int64_t c = 0; c < list_.classes; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
        return sum;
    }

    /// T * W of a group.
    double finish(const device::ForwardArguments& arguments, std::int64_t group, double* list) {
        const std::int64_t classes = list_.classes;
        const auto kernel = formulas::discrepancy_kernel<double>(op_, classes);
        std::vector<double> truths;
        list_.collect_targets(list, doubles(arguments.workspace), truths);
        double n = 0, m = 0;
        for (std::int64_t slot = 0; slot < list_.slots; ++slot) n += list_.share(list, slot)[classes];
        const auto step = static_cast<std::size_t>(classes + 1);
        for (std::size_t a = 0; a < truths.size(); a += step) m += truths[a + step - 1];
        double* gradients = trains() ? doubles(arguments.saved) + group * kept() + 1 : nullptr;
        if (gradients != nullptr) {
            gradients[-1] = list[0];
            std::fill(gradients, gradients + list_.slots * classes, 0.0);
        }
        const bool unbiased = op_.estimator == ops::KernelDiscrepancy::Estimator::unbiased;
        const double pairs_x = formulas::pair_count(op_.estimator, n);
        const double pairs_y = formulas::pair_count(op_.estimator, m);
        if (!(pairs_x > 0) || !(pairs_y > 0)) return 0;

        double total = 0;
        const formulas::DiscrepancyList::Draw draw(list_, *arguments.step, group, 0);
        for (std::int64_t i = 0; i < list_.slots; ++i) {
            const double* x = list_.share(list, i);
            if (draw(i) < 0 || x[classes] == 0) continue;
            const auto meet = [&](const double* other, double weight) {
                const auto value = formulas::kernel_value(kernel, squared_distance(x, other));
                total += weight * value.value;
                for (std::int64_t c = 0; c < classes && gradients != nullptr; ++c) {
                    gradients[i * classes + c] -= 2 * weight * value.pull * (x[c] - other[c]);
                }
            };
            for (std::int64_t j = 0; j < list_.slots; ++j) {
                const double* other = list_.share(list, j);
                if (other[classes] == 0 || (i == j && unbiased)) continue;
                meet(other, 1 / pairs_x);
            }
            // The cross term counts every x once, the first two pairs each twice: its pull enters half as
            // often.
            for (std::size_t a = 0; a < truths.size(); a += step) {
                meet(&truths[a], -truths[a + step - 1] / (n * m));
                total -= truths[a + step - 1] / (n * m) *
                         formulas::kernel_value(kernel, squared_distance(x, &truths[a])).value;
            }
        }
        if (!list_.global() || arguments.step->first_sample == arguments.step->pass_first) {
            for (std::size_t a = 0; a < truths.size(); a += step) {
                for (std::size_t b = 0; b < truths.size(); b += step) {
                    const double same = a == b && unbiased ? 1 : 0;
                    total += truths[a + step - 1] * (truths[b + step - 1] - same) / pairs_y *
                             formulas::kernel_value(kernel, squared_distance(&truths[a], &truths[b])).value;
                }
            }
        }
        return total * list[0];
    }

    formulas::DiscrepancyList list_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::KernelDiscrepancy& op, const device::PlanRequest& request) {
    return std::make_unique<KernelDiscrepancyPlan>(op, request);
}

}  // namespace terrane::ref
