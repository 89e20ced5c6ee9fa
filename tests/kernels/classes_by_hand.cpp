// The reference against numbers worked out by hand: losses and scores.
#include <cmath>

#include "kernels/by_hand.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

const Given three_logits{activation({1, 1, 1, 3}), {1, 2, 3}};
const Given three_weights{state({3}), {1, 2, 4}};

Given label(double value) {
    return {labels({1, 1, 1}), {value}};
}

}  // namespace

TEST_CASE("cross-entropy of logits 1, 2, 3", "[hand]") {
    // Python: lp = [z - log(sum(exp(v) for v in (1, 2, 3))) for z in (1, 2, 3)]
    const auto plain =
        reference(ops::CrossEntropy{}, {three_logits, label(2), three_weights}, with_gradients);
    CHECK(equal(plain.outputs[0], {4 * 0.40760596444438013, 4}));
    // 4 * (p - [0, 0, 1])
    CHECK(equal(plain.gradients[0], {0.3601222926815219, 0.9789138842191908, -1.339036176900712}));
    // 0.9 * 4 * -lp[2] + 0.1 / 3 * sum(w * -lp), and its derivative
    const auto smoothed = reference(ops::CrossEntropy{.label_smoothing = 0.1},
                                    {three_logits, label(2), three_weights}, with_gradients);
    CHECK(equal(smoothed.outputs[0], {1.6958228637034571, 4}));
    CHECK(equal(smoothed.gradients[0], {0.31178386381979184, 0.8714591390433912, -1.1832430028631824}));
}

TEST_CASE("labels that are ignored or beyond the classes cost nothing", "[hand]") {
    for (const double value : {255.0, 3.0}) {
        const auto result =
            reference(ops::CrossEntropy{}, {three_logits, label(value), three_weights}, with_gradients);
        CHECK(equal(result.outputs[0], {0, 0}));
        CHECK(equal(result.gradients[0], {0, 0, 0}));
        const auto dice = reference(ops::Dice{}, {three_logits, label(value), three_weights}, with_gradients);
        CHECK(equal(dice.outputs[0], {0, 0}));
        CHECK(equal(dice.gradients[0], {0, 0, 0}));
    }
}

TEST_CASE("over all pixels, ignored ones count in the denominator only, and class weights not at all",
          "[hand]") {
    const Given logits{activation({1, 1, 2, 3}), {1, 2, 3, 1, 2, 3}};
    const Given half_ignored{labels({1, 1, 2}), {2, 255}};
    const auto over_valid =
        reference(ops::CrossEntropy{}, {logits, half_ignored, three_weights}, with_gradients);
    const auto over_all = reference(ops::CrossEntropy{.denominator = ops::Denominator::all},
                                    {logits, half_ignored, three_weights}, with_gradients);
    CHECK(equal(over_valid.outputs[0], {4 * 0.40760596444438013, 4}));
    CHECK(equal(over_all.outputs[0], {4 * 0.40760596444438013, 2}));
    CHECK(
        equal(over_all.gradients[0], {0.3601222926815219, 0.9789138842191908, -1.339036176900712, 0, 0, 0}));
    const auto dice = reference(ops::Dice{}, {logits, half_ignored, three_weights}, with_gradients);
    const auto dice_over_all = reference(ops::Dice{.denominator = ops::Denominator::all},
                                         {logits, half_ignored, three_weights}, with_gradients);
    CHECK(dice_over_all.outputs[0][0] == Approx(dice.outputs[0][0] * 2 / 4));
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(dice_over_all.gradients[0][i] == Approx(dice.gradients[0][i] * 2 / 4));
    }
}

TEST_CASE("cross-entropy reads logits at the labels' resolution", "[hand]") {
    // Logits 0 and 4 of class 0 become 0, 1, 3, 4 over four pixels; class 1 stays 0.
    const auto result = reference(
        ops::CrossEntropy{},
        {{activation({1, 1, 2, 2}), {0, 0, 4, 0}}, {labels({1, 1, 4}), {0, 0, 0, 255}}, {state({2}), {1, 1}}},
        with_gradients);
    const auto loss = [](double z) { return std::log1p(std::exp(-z)); };
    CHECK(equal(result.outputs[0], {loss(0) + loss(1) + loss(3), 3}));
    const auto slope = [](double z) { return -1 / (1 + std::exp(z)); };
    const double first = slope(0) + 0.75 * slope(1) + 0.25 * slope(3);
    const double second = 0.25 * slope(1) + 0.75 * slope(3);
    CHECK(equal(result.gradients[0], {first, -first, second, -second}));
}

TEST_CASE("Dice of two pixels", "[hand]") {
    // p = (1/2, 1/2) with class 0 and (1/4, 3/4) with class 1: I = (.5, .75), S = (.75, 1.25), T = (1, 1),
    // dice = 2 / 2.75 and 2.5 / 3.25, W = 1 + 2.
    const auto result = reference(ops::Dice{}, {{activation({1, 1, 2, 2}), {0, 0, 0, std::log(3.0)}},
                                                {labels({1, 1, 2}), {0, 1}},
                                                {state({2}), {1, 2}}});
    CHECK(equal(result.outputs[0], {3 * (1 - (2 / 2.75 + 2.5 / 3.25) / 2), 3}));
}

TEST_CASE("focal loss of logits 1, 2, 3", "[hand]") {
    // p = 0.665240955774822, v = 4: 4 (1 - p)^2 -log p
    const auto result =
        reference(ops::Focal{.gamma = 2}, {three_logits, label(2), three_weights}, with_gradients);
    const double p = 0.665240955774822, log_p = -0.40760596444438013, q = 1 - p;
    CHECK(equal(result.outputs[0], {4 * q * q * -log_p, 4}));
    const double pull = 4 * (q * q - 2 * p * q * log_p);
    CHECK(
        equal(result.gradients[0], {pull * 0.09003057317038048, pull * 0.2447284710547977, pull * (p - 1)}));
}

TEST_CASE("Lovász-softmax of two pixels", "[hand]") {
    // p = (1/2, 1/2) of class 0 and (3/4, 1/4) of class 1. Class 0: errors 3/4 (not its pixel) and 1/2 (its
    // own), each raising 1 - IoU by 1/2: 5/8. Class 1: error 3/4 of its own pixel raises it to 1: 3/4. W = 1
    // + 2.
    const auto result = reference(ops::Lovasz{}, {{activation({1, 1, 2, 2}), {0, 0, std::log(3.0), 0}},
                                                  {labels({1, 1, 2}), {0, 1}},
                                                  {state({2}), {1, 2}}});
    CHECK(equal(result.outputs[0], {3 * (5.0 / 8 + 3.0 / 4) / 2, 3}));
}

TEST_CASE("boundary loss weighs probabilities with signed distances", "[hand]") {
    // Four pixels in a row, the first of class 0: distances to it 0, 1, 2, 3; for class 1 they are 1, 0, -1,
    // -2.
    const auto result = reference(ops::Boundary{}, {{activation({1, 1, 4, 2}), std::vector<double>(8, 0)},
                                                    {labels({1, 1, 4}), {0, 1, 1, 1}},
                                                    {state({2}), {1, 1}}});
    CHECK(equal(result.outputs[0], {0.5 * (0 + 1 + 2 + 3) + 0.5 * (1 + 0 - 1 - 2), 4}));
}

TEST_CASE("Dice over images has a score of every class of every image", "[hand]") {
    // One pixel, p = (1/2, 1/2), class 0: dice = 2 / 2.5 and 1 / 1.5.
    const auto result =
        reference(ops::Dice{.over = ops::ScoreOver::image},
                  {{activation({1, 1, 1, 2}), {0, 0}}, {labels({1, 1, 1}), {0}}, {state({2}), {2, 1}}});
    CHECK(equal(result.outputs[0], {2 * (1 - (2 / 2.5 + 1 / 1.5) / 2), 2}));
}

TEST_CASE("classify counts truth by row and prediction by column, the lowest index winning ties", "[hand]") {
    const auto result = reference(ops::Classify{}, {{activation({1, 1, 4, 2}), {5, 5, 0, 1, 1, 0, 0, 9}},
                                                    {labels({1, 1, 4}), {1, 1, 255, 0}},
                                                    {{Role::confusion, {2, 2}}, {10, 0, 0, 0}}});
    CHECK(equal(result.outputs[0], {0, 1, 0, 1}));
    CHECK(equal(result.states[2], {10, 1, 1, 1}));
}

TEST_CASE("softmax of logits 1, 2, 3", "[hand]") {
    CHECK(equal(reference(ops::Softmax{1, 1}, {three_logits}).outputs[0],
                {0.09003057317038048, 0.2447284710547977, 0.665240955774822}));
}
