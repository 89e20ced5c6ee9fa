#include "train/class_weights.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;

TEST_CASE(
    "class weights follow their formulas, have mean 1 over the classes that occur, and give way to the "
    "user's") {
    const std::vector<std::int64_t> pixels{800, 0, 100, 100};
    const std::vector<config::Class> classes(4);
    const auto none = train::class_weights("none", pixels, classes);
    CHECK(none == std::vector<float>{1, 1, 1, 1});

    // 1 / f: 1.25, 10, 10; mean 7.08333
    const auto inverse = train::class_weights("inverse", pixels, classes);
    CHECK(inverse[0] == Approx(1.25 / 7.0833333));
    CHECK(inverse[1] == 1);
    CHECK(inverse[2] == Approx(10 / 7.0833333));
    CHECK((inverse[0] + inverse[2] + inverse[3]) / 3 == Approx(1));

    const auto root = train::class_weights("sqrt_inverse", pixels, classes);
    CHECK(root[2] / root[0] == Approx(std::sqrt(8.0)));
    CHECK((root[0] + root[2] + root[3]) / 3 == Approx(1));

    // median of 0.8, 0.1, 0.1 is 0.1: 0.125, 1, 1; mean 0.708333
    const auto median = train::class_weights("median", pixels, classes);
    CHECK(median[0] == Approx(0.125 / 0.7083333));
    CHECK(median[3] == Approx(1 / 0.7083333));

    std::vector<config::Class> chosen(4);
    chosen[0].weight = 0.5;
    CHECK(train::class_weights("inverse", pixels, chosen)[0] == 0.5f);
    CHECK(train::class_weights("inverse", pixels, chosen)[2] == inverse[2]);
    CHECK_THROWS_WITH(train::class_weights("reverse", pixels, classes), test::contains("\"reverse\""));
}
