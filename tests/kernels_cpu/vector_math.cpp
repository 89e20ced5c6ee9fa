#include "cpu/vector_math.hpp"

#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace terrane;

namespace {

double relative_error(float value, double exact) {
    return std::abs(static_cast<double>(value) - exact) / std::abs(exact);
}

}  // namespace

TEST_CASE("the vectorised exponential is exact to three units of the last place") {
    for (int i = -87000; i <= 88700; ++i) {
        const float x = static_cast<float>(i) * 1e-3f;
        REQUIRE(relative_error(cpu::exponential(x), std::exp(static_cast<double>(x))) < 2e-7);
    }
    CHECK(cpu::exponential(0.0f) == 1.0f);
    CHECK(cpu::exponential(-1000.0f) == 0.0f);
    CHECK(cpu::exponential(1000.0f) == std::numeric_limits<float>::infinity());
    CHECK(std::isnan(cpu::exponential(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("the vectorised logarithm is exact to three units of the last place") {
    for (float x = 1e-30f; x < 1e30f; x *= 1.00137f) {
        const double exact = std::log(static_cast<double>(x));
        REQUIRE(std::abs(static_cast<double>(cpu::logarithm(x)) - exact) < 2e-7 * (std::abs(exact) + 0.1));
    }
    CHECK(cpu::logarithm(1.0f) == 0.0f);
}

TEST_CASE("the vectorised normal distribution function holds in both tails") {
    for (int i = -10000; i <= 10000; ++i) {
        const float x = static_cast<float>(i) * 1e-3f;
        const double exact = 0.5 * std::erfc(-static_cast<double>(x) / std::sqrt(2.0));
        REQUIRE(std::abs(static_cast<double>(cpu::normal_cumulative(x)) - exact) < 2e-7);
        // The rounding of x squared is magnified by the exponential.
        REQUIRE(relative_error(cpu::normal_cumulative(x), exact) < 5e-7 * (1 + 0.5 * x * x));
    }
    CHECK(cpu::sigmoid(0.0f) == 0.5f);
    CHECK(cpu::sigmoid(-200.0f) == 0.0f);
    CHECK(cpu::sigmoid(200.0f) == 1.0f);
}
