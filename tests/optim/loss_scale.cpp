#include "formulas/loss_scale.hpp"

#include "support/catch.hpp"

using terrane::device::LossScale;
using namespace terrane::formulas;

TEST_CASE("the loss scale halves with every overflow and doubles after 2000 good updates") {
    LossScale scale;
    CHECK(scale.value == 1);
    CHECK(count_overflow(scale));
    CHECK(scale.value == 0.5);
    for (int i = 0; i < 1999; ++i) count_good(scale);
    CHECK(scale.value == 0.5);
    count_good(scale);
    CHECK(scale.value == 1);
    for (int i = 0; i < 1500; ++i) count_good(scale);
    CHECK(count_overflow(scale));  // the count begins anew
    for (int i = 0; i < 1999; ++i) count_good(scale);
    CHECK(scale.value == 0.5);
}

TEST_CASE("the smallest loss scale is not lowered: then the numbers themselves are bad") {
    LossScale scale;
    for (int i = 0; i < 24; ++i) CHECK(count_overflow(scale));
    CHECK(scale.value == 0x1p-24);
    CHECK_FALSE(count_overflow(scale));
    CHECK(scale.value == 0x1p-24);
}

TEST_CASE("the loss scale has an upper bound") {
    LossScale scale;
    for (int i = 0; i < 2000 * 30; ++i) count_good(scale);
    CHECK(scale.value == 16777216);
    for (int i = 0; i < 7; ++i) count_good(scale);
    CHECK(scale == LossScale{16777216, 7});
}
