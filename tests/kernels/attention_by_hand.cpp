// The reference against numbers worked out by hand: attention.
#include <cmath>

#include "kernels/by_hand.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

TEST_CASE("a query of zeros takes the mean of the values", "[hand]") {
    // One head of width 1, two tokens: queries 0, 0; keys 5, -3; values 10, 20.
    const auto result =
        reference(ops::Attention{}, {{activation({1, 2, 3}), {0, 5, 10, 0, -3, 20}}}, {{1, 1}});
    CHECK(equal(result.outputs[0], {15, 15}));
    // dV = 1/2 + 1/2 each; dS = p (dp - mean) = +-2.5 for dp = v; dQ = -2.5 * 5 + 2.5 * -3; dK = 0 as Q is.
    CHECK(equal(result.gradients[0], {-20, 0, 1, -20, 0, 1}));
}

TEST_CASE("packed channels are queries, keys, values, each head by head", "[hand]") {
    // Two heads of width 1 over two tokens; scores of ln 3 and 0 give weights 3/4 and 1/4.
    const double ln3 = std::log(3.0);
    const auto result = reference(ops::Attention{.heads = 2},
                                  {{activation({1, 2, 6}), {1, 0, ln3, 7, 4, 100, 1, 0, 0, 9, 8, 200}}});
    CHECK(equal(result.outputs[0], {5, 150, 5, 150}));
}

TEST_CASE("keys with values hold the keys first", "[hand]") {
    const double ln3 = std::log(3.0);
    const auto result = reference(ops::Attention{.form = ops::AttentionInputs::keys_with_values, .scale = 2},
                                  {{activation({1, 1, 1}), {0.5}}, {activation({1, 2, 2}), {ln3, 4, 0, 8}}});
    CHECK(equal(result.outputs[0], {5}));
}
