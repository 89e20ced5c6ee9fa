#include "optim/loss_scale.hpp"

#include "support/catch.hpp"

using terrane::optim::LossScale;

TEST_CASE("the loss scale halves with every overflow and doubles after 2000 good updates") {
    LossScale scale("fp16");
    CHECK(scale.value() == 65536);
    CHECK(scale.overflowed());
    CHECK(scale.value() == 32768);
    for (int i = 0; i < 1999; ++i) scale.good();
    CHECK(scale.value() == 32768);
    scale.good();
    CHECK(scale.value() == 65536);
    for (int i = 0; i < 1500; ++i) scale.good();
    CHECK(scale.overflowed());  // the count begins anew
    for (int i = 0; i < 1999; ++i) scale.good();
    CHECK(scale.value() == 32768);
}

TEST_CASE("a loss scale of 1 is not lowered: then the numbers themselves are bad") {
    LossScale scale("fp16");
    for (int i = 0; i < 16; ++i) CHECK(scale.overflowed());
    CHECK(scale.value() == 1);
    CHECK_FALSE(scale.overflowed());
    CHECK(scale.value() == 1);
}

TEST_CASE("the loss scale has an upper bound and goes on from a checkpoint") {
    LossScale scale("fp16");
    for (int i = 0; i < 2000 * 20; ++i) scale.good();
    CHECK(scale.value() == 16777216);
    for (int i = 0; i < 7; ++i) scale.good();
    LossScale again("fp16");
    again.restore(scale.state());
    CHECK(again.state() == scale.state());
    CHECK(again.state().good_steps == 7);
}

TEST_CASE("precisions with the exponents of fp32 need no loss scale") {
    for (const char* precision : {"fp32", "bf16"}) {
        LossScale scale(precision);
        CHECK(scale.value() == 1);
        CHECK_FALSE(scale.overflowed());
        for (int i = 0; i < 5000; ++i) scale.good();
        CHECK(scale.value() == 1);
        scale.restore({4, 4});
        CHECK(scale.value() == 1);
    }
}
