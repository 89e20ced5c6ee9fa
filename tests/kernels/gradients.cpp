// The reference's gradients against central differences of its own forward pass, in double.
#include <algorithm>
#include <cmath>

#include "kernels/compare.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

/// The scalar whose gradient is taken: the loss itself, or the output weighted with the upstream gradient.
double objective(device::Backend& backend, const OpCase& one, RunOptions options,
                 const std::vector<std::vector<double>>& inputs, const std::vector<double>& upstream) {
    options.wanted.assign(one.inputs.size(), false);
    const RunResult result = run_case(backend, one, options, inputs);
    if (one.is_loss()) return ops::loss_weight_of(one.op) * result.outputs[0][0];
    double sum = 0;
    for (std::size_t i = 0; i < upstream.size(); ++i) sum += upstream[i] * result.outputs[0][i];
    return sum;
}

}  // namespace

TEST_CASE("every gradient equals the central difference of the forward pass", "[cases]") {
    const auto backend = ref::make_ref_backend();
    RunOptions options;
    options.compute = options.rounded_as = DType::f64;
    constexpr double step = 1e-5;

    for (const OpCase& one : selected_cases()) {
        // What ScaleGradient hands back is not its derivative, on purpose.
        if (!one.has_backward() || std::holds_alternative<ops::ScaleGradient>(one.op)) continue;
        INFO(reproducer(one, options));
        auto inputs = case_inputs(one, options);
        const std::vector<double> upstream = upstream_gradient(one, options);
        const RunResult result = run_case(*backend, one, options, inputs);
        CHECK(result.complaint.empty());
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const std::vector<double>& gradient = result.gradients[i];
            if (gradient.empty()) continue;
            double largest = 0;
            for (const double value : gradient) largest = std::max(largest, std::abs(value));
            // Elements tried per input: a larger map costs more per try and holds nothing new for each.
            const std::size_t samples = gradient.size() > 4096 ? 4 : 40;
            const std::size_t stride = std::max<std::size_t>(1, gradient.size() / samples);
            for (std::size_t element = 0; element < gradient.size(); element += stride) {
                const double kept = inputs[i][element];
                inputs[i][element] = kept + step;
                const double above = objective(*backend, one, options, inputs, upstream);
                inputs[i][element] = kept - step;
                const double below = objective(*backend, one, options, inputs, upstream);
                inputs[i][element] = kept;
                const double difference = (above - below) / (2 * step);
                INFO("input " << i << ", element " << element);
                CHECK(gradient[element] == Approx(difference).epsilon(1e-6).margin(1e-6 * largest + 1e-7));
            }
        }
    }
}
