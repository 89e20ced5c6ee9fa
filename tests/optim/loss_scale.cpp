#include "optim/loss_scale.hpp"

#include "support/catch.hpp"

using terrane::optim::LossScale;

TEST_CASE("the loss scale halves with every overflow and doubles after 2000 good updates") {
    LossScale scale("fp16");
    CHECK(scale.value() == 1);
    CHECK(scale.overflowed());
    CHECK(scale.value() == 0.5);
    for (int i = 0; i < 1999; ++i) CHECK_FALSE(scale.good());
    CHECK(scale.value() == 0.5);
    CHECK(scale.good());
    CHECK(scale.value() == 1);
    for (int i = 0; i < 1500; ++i) scale.good();
    CHECK(scale.overflowed());  // the count begins anew
    for (int i = 0; i < 1999; ++i) scale.good();
    CHECK(scale.value() == 0.5);
}

TEST_CASE("the smallest loss scale is not lowered: then the numbers themselves are bad") {
    LossScale scale("fp16");
    for (int i = 0; i < 24; ++i) CHECK(scale.overflowed());
    CHECK(scale.value() == 0x1p-24);
    CHECK_FALSE(scale.overflowed());
    CHECK(scale.value() == 0x1p-24);
}

TEST_CASE("the loss scale has an upper bound and goes on from a checkpoint") {
    LossScale scale("fp16");
    for (int i = 0; i < 2000 * 30; ++i) scale.good();
    CHECK(scale.value() == 16777216);
    for (int i = 0; i < 7; ++i) scale.good();
    LossScale again("fp16");
    again.restore(scale.state());
    CHECK(again.state() == scale.state());
    CHECK(again.state().good_steps == 7);
}

TEST_CASE("precisions with the exponents of fp32 need no loss scale") {
    for (const char* precision : {"fp32", "tf32", "bf16"}) {
        LossScale scale(precision);
        CHECK(scale.value() == 1);
        CHECK_FALSE(scale.overflowed());
        for (int i = 0; i < 5000; ++i) scale.good();
        CHECK(scale.value() == 1);
        scale.restore({4, 4});
        CHECK(scale.value() == 1);
    }
}
