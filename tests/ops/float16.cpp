#include "tensor/float16.hpp"

#include <cmath>
#include <limits>

#include "support/catch.hpp"

using terrane::float16;

namespace {

float16 from_bits(std::uint32_t bits) {
    float16 value;
    value.bits = static_cast<std::uint16_t>(bits);
    return value;
}

/// By the definition: sign, exponent, fraction.
double value_of(std::uint32_t bits) {
    const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
    const int exponent = static_cast<int>(bits >> 10 & 0x1fu), fraction = static_cast<int>(bits & 0x3ffu);
    if (exponent == 0x1f) return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : NAN;
    if (exponent == 0) return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(1024 + fraction, exponent - 25);
}

}  // namespace

TEST_CASE("every half-precision number has its value, and comes back as itself") {
    for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
        const auto value = static_cast<float>(from_bits(bits));
        if (std::isnan(value_of(bits))) {
            REQUIRE(std::isnan(value));
            REQUIRE(std::isnan(static_cast<float>(float16(value))));
        } else {
            REQUIRE(static_cast<double>(value) == value_of(bits));
            REQUIRE(float16(value).bits == bits);
        }
    }
}

TEST_CASE("numbers between two half-precision ones go to the nearer, ties to the even one") {
    for (std::uint32_t bits = 0; bits < 0x7bffu; ++bits) {
        const double below = value_of(bits), above = value_of(bits + 1), middle = (below + above) / 2;
        REQUIRE(float16(static_cast<float>(middle)).bits == bits + (bits & 1u));
        REQUIRE(float16(std::nextafter(static_cast<float>(middle), 0.0f)).bits == bits);
        REQUIRE(float16(std::nextafter(static_cast<float>(middle), 1e6f)).bits == bits + 1);
        REQUIRE(float16(-static_cast<float>(middle)).bits == (0x8000u | (bits + (bits & 1u))));
    }
}

TEST_CASE("what is too large for half precision becomes infinite, what is too small becomes zero") {
    CHECK(float16(65519.0f).bits == 0x7bffu);
    CHECK(float16(65520.0f).bits == 0x7c00u);
    CHECK(float16(-1e30f).bits == 0xfc00u);
    CHECK(float16(std::numeric_limits<float>::infinity()).bits == 0x7c00u);
    CHECK(float16(0x1p-25f).bits == 0);
    CHECK(float16(std::nextafter(0x1p-25f, 1.0f)).bits == 1);
    CHECK(float16(-0.0f).bits == 0x8000u);
}
