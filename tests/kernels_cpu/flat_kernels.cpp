#include <omp.h>

#include <cmath>
#include <limits>

#include "base/philox.hpp"
#include "cpu/backend.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

std::vector<float> random_values(std::size_t count, std::uint64_t key) {
    PhiloxStream random(key, 0);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
    return values;
}

constexpr std::size_t count = 70001;  // several blocks and a remainder

const std::vector<device::UpdateSegment> segments{
    {0, 17, 1, 0}, {17, 30000, 1, 1}, {30017, 5, 0.1f, 1}, {30100, 39901, 2, 0.5f}};

double largest_gap(const std::vector<float>& a, const std::vector<float>& b) {
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double gap = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        if (!(gap <= largest)) largest = gap;
    }
    return largest;
}

}  // namespace

TEST_CASE("updates agree with the reference and leave what no segment covers") {
    auto cpu = cpu::make_cpu_backend();
    auto ref = ref::make_ref_backend();
    const std::vector<float> gradients = random_values(count, 2);
    device::UpdateScalars scalars{.rate = 0.05,
                                  .gradient_scale = 0.5,
                                  .weight_decay = 0.01,
                                  .momentum = 0.9,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8};
    const std::vector<float> start = random_values(count, 1);
    enum class Rule { sgd, adam, adamw };
    for (const Rule rule : {Rule::sgd, Rule::adam, Rule::adamw}) {
        scalars.decay = rule == Rule::adam ? device::WeightDecay::coupled : device::WeightDecay::decoupled;
        std::vector<float> w[2] = {start, start}, m[2], v[2];
        device::Backend* backends[2] = {cpu.get(), ref.get()};
        for (std::size_t i = 0; i < 2; ++i) {
            m[i].assign(count, 0);
            v[i].assign(count, 0);
            for (scalars.step = 1; scalars.step <= 3; ++scalars.step) {
                if (rule != Rule::sgd) {
                    backends[i]->flat_kernels().adamw(w[i], gradients, m[i], v[i], {}, segments, &scalars);
                } else {
                    backends[i]->flat_kernels().sgd(w[i], gradients, v[i], {}, segments, &scalars);
                }
            }
        }
        CHECK(largest_gap(w[0], w[1]) < 2e-6);
        CHECK(largest_gap(v[0], v[1]) < 1e-6);
        CHECK(largest_gap(w[0], start) > 0.01);
        for (std::size_t i = 30022; i < 30100; ++i) CHECK(w[0][i] == start[i]);
    }
}

TEST_CASE("sums over flat buffers do not depend on the number of threads") {
    auto cpu = cpu::make_cpu_backend();
    const std::vector<float> values = random_values(count, 3);
    const int threads = omp_get_max_threads();
    std::vector<double> sums;
    for (const int n : {1, 2, 3}) {
        omp_set_num_threads(n);
        cpu->flat_kernels().sum_of_squares(values, &sums.emplace_back());
    }
    omp_set_num_threads(threads);
    CHECK(sums[0] == sums[1]);
    CHECK(sums[0] == sums[2]);
    double expected = 0;
    ref::make_ref_backend()->flat_kernels().sum_of_squares(values, &expected);
    CHECK(sums[0] == Approx(expected).epsilon(1e-12));
}
