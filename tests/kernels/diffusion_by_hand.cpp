// The reference against published or independently computed numbers: recursion and kernel discrepancy.
#include <algorithm>
#include <cmath>

#include "kernels/by_hand.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

using Numbers = std::vector<double>;

const Numbers three_predictions{.7, .1,  .05, .05, .05, .05, .2, .5,  .1,
                                .1, .05, .05, .1,  .1,  .1,  .6, .05, .05};

Numbers one_hot(const std::vector<int>& classes) {
    Numbers values(classes.size() * 6, 0.0);
    for (std::size_t i = 0; i < classes.size(); ++i) values[i * 6 + static_cast<std::size_t>(classes[i])] = 1;
    return values;
}

/// Predictions and targets of as many pixels; a void prediction beside an extra target would count, so the
/// golden example's fourth target is given by a fourth pixel that X does not draw.
RunResult discrepancy(const ops::KernelDiscrepancy& op, const Numbers& predictions, const Numbers& targets) {
    const auto pixels = static_cast<std::int64_t>(predictions.size() / 6);
    return reference(op,
                     {{activation({1, 1, pixels, 6}), predictions},
                      {{Role::constant, {1, 1, pixels, 6}}, targets},
                      {state({6}), Numbers(6, 1.0)}},
                     with_gradients);
}

double kernel(const double* a, const double* b) {
    double r2 = 0;
    for (int c = 0; c < 6; ++c) r2 += (a[c] - b[c]) * (a[c] - b[c]);
    return 1 / std::sqrt(1 + r2);
}

}  // namespace

TEST_CASE("the discrepancy of three predictions and four labels is the specification's", "[hand]") {
    // Three pixels with the predictions; the labels {0, 1, 3, 3} as counts, through the formula for atoms:
    // the mean over y is taken by hand here and compared with what the kernel gives on pixels of equal number
    // below.
    const Numbers y = one_hot({0, 1, 3, 3});
    double xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j)
            xx += i == j ? 0
                         : kernel(&three_predictions[static_cast<std::size_t>(6 * i)],
                                  &three_predictions[static_cast<std::size_t>(6 * j)]) /
                               6;
        for (int j = 0; j < 4; ++j)
            xy += kernel(&three_predictions[static_cast<std::size_t>(6 * i)],
                         &y[static_cast<std::size_t>(6 * j)]) /
                  12;
    }
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j)
            yy += i == j
                      ? 0
                      : kernel(&y[static_cast<std::size_t>(6 * i)], &y[static_cast<std::size_t>(6 * j)]) / 12;
    }
    CHECK(xx == Approx(.8182761067).margin(1e-9));
    CHECK(yy == Approx(.6477918910).margin(1e-9));
    CHECK(xy == Approx(.7537345096).margin(1e-9));
    CHECK(xx + yy - 2 * xy == Approx(-.0414010215).margin(1e-9));
}

TEST_CASE("atoms and samples give the same discrepancy, whatever the order of the pixels", "[hand]") {
    const Numbers targets = one_hot({0, 1, 3});
    const auto expected = [&](const Numbers& x, const Numbers& y) {
        double total = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = 0; j < 3; ++j) {
                if (i != j) total += (kernel(&x[6 * i], &x[6 * j]) + kernel(&y[6 * i], &y[6 * j])) / 6;
                total -= 2 * kernel(&x[6 * i], &y[6 * j]) / 9;
            }
        }
        return total;
    };
    const double value = expected(three_predictions, targets);
    for (const auto form :
         {ops::KernelDiscrepancy::Targets::atoms, ops::KernelDiscrepancy::Targets::sampled}) {
        const auto result = discrepancy({.targets = form}, three_predictions, targets);
        CHECK(result.outputs[0][0] == Approx(3 * value).margin(1e-9));  // times W: three pixels of weight 1
        CHECK(result.outputs[0][1] == 0);
    }
    Numbers turned(three_predictions.begin() + 6, three_predictions.end());
    turned.insert(turned.end(), three_predictions.begin(), three_predictions.begin() + 6);
    CHECK(discrepancy({}, turned, targets).outputs[0][0] == Approx(3 * value).margin(1e-9));
}

TEST_CASE("the kernel's value and gradient for three predictions and four labels are the specification's",
          "[hand]") {
    // Four labelled pixels of which three are drawn: the drawn ones get the example's predictions in the
    // order of the pixels. Which they are shows in the gradient.
    ops::KernelDiscrepancy op{.max_samples = 3};
    const Numbers truths = one_hot({0, 1, 3, 3});
    Numbers predictions;
    for (int pixel = 0; pixel < 4; ++pixel) {
        const Numbers share = one_hot({pixel});
        predictions.insert(predictions.end(), share.begin(), share.end());
    }
    const RunResult probe = discrepancy(op, predictions, truths);
    std::vector<std::size_t> drawn;
    for (std::size_t pixel = 0; pixel < 4; ++pixel) {
        const auto* const first = &probe.gradients[0][6 * pixel];
        if (std::any_of(first, first + 6, [](double slope) { return slope != 0; })) drawn.push_back(pixel);
    }
    REQUIRE(drawn.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        std::copy_n(&three_predictions[6 * i], 6, &predictions[6 * drawn[i]]);
    }
    const auto slopes_are = [&](const RunResult& result, std::size_t prediction, const Numbers& expected) {
        for (std::size_t c = 0; c < 6; ++c) {
            // Four pixels of weight 1: the term enters a sum over pixels.
            CHECK(result.gradients[0][6 * drawn[prediction] + c] / 4 == Approx(expected[c]).margin(1e-8));
        }
    };
    const RunResult unbiased = discrepancy(op, predictions, truths);
    CHECK(unbiased.outputs[0][0] / 4 == Approx(-.0414010215).margin(1e-9));
    slopes_are(unbiased, 0, {-.13926769, .05965137, .03161352, .02009455, .01395412, .01395412});
    slopes_are(unbiased, 2, {.09730684, .06331292, .02800931, -.22439599, .01788346, .01788346});
    op.estimator = ops::KernelDiscrepancy::Estimator::biased;
    CHECK(discrepancy(op, predictions, truths).outputs[0][0] / 4 == Approx(.1072256369).margin(1e-9));
}

TEST_CASE("a discrepancy per image is the sum of each image's own, times its weight", "[hand]") {
    const Numbers first = one_hot({0, 1, 3}), second = one_hot({2, 2, 5});
    Numbers turned(three_predictions.begin() + 6, three_predictions.end());
    turned.insert(turned.end(), three_predictions.begin(), three_predictions.begin() + 6);
    const auto both = [](Numbers a, const Numbers& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    };
    const RunResult one = discrepancy({}, three_predictions, first), other = discrepancy({}, turned, second);
    const RunResult images = reference(ops::KernelDiscrepancy{.scope = ops::KernelDiscrepancy::Scope::image},
                                       {{activation({2, 1, 3, 6}), both(three_predictions, turned)},
                                        {{Role::constant, {2, 1, 3, 6}}, both(first, second)},
                                        {state({6}), Numbers(6, 1.0)}},
                                       with_gradients);
    CHECK(images.outputs[0][0] == Approx(one.outputs[0][0] + other.outputs[0][0]).margin(1e-12));
    CHECK(equal(images.gradients[0], both(one.gradients[0], other.gradients[0])));
}

TEST_CASE("cross-entropy and Dice of class shares are those computed by hand", "[hand]") {
    // Two images of two pixels and two classes; the second image's last pixel is void.
    const Numbers shares{.7, .3, .4, .6, .9, .1, .2, .8}, targets{1, 0, .5, .5, 0, 1, 0, 0};
    const auto loss = [&](const ops::ShareLoss& op) {
        return reference(op,
                         {{activation({2, 1, 2, 2}), shares},
                          {{Role::constant, {2, 1, 2, 2}}, targets},
                          {state({2}), {1, 1}}},
                         with_gradients);
    };
    using Kind = ops::ShareLoss::Kind;
    // Of equal targets the lower class counts: -ln .7 - ln .4 - ln .1.
    const RunResult entropy = loss({});
    CHECK(entropy.outputs[0][0] == Approx(-std::log(.7) - std::log(.4) - std::log(.1)).margin(1e-12));
    CHECK(entropy.outputs[0][1] == 0);
    CHECK(equal(entropy.gradients[0], {-1 / .7, 0, -1 / .4, 0, 0, -1 / .1, 0, 0}));
    // A void that counts is a target of the lowest class.
    CHECK(loss({.void_pixels = ops::VoidPixels::zero_vector}).outputs[0][0] ==
          Approx(-std::log(.7) - std::log(.4) - std::log(.1) - std::log(.2)).margin(1e-12));
    // First image: class 0 I = .7 + .2, U = 1.1 + 1.5; class 1 I = .3, U = .9 + .5. Second: I = 0, U = .9; I
    // = .1, U = 1.1.
    const double first = 1 - (2.8 / 3.6 + 1.6 / 2.4) / 2, second = 1 - (1 / 1.9 + 1.2 / 2.1) / 2;
    const RunResult dice = loss({.kind = Kind::dice});
    CHECK(dice.outputs[0][0] == Approx(2 * first + second).margin(1e-12));
    // Of the first image (weight 2) by the share of class 0 at its first pixel, whose target is 1.
    CHECK(dice.gradients[0][0] == Approx(-2.0 / 2 * (2 * 3.6 - 2.8) / (3.6 * 3.6)).margin(1e-12));
    CHECK(dice.gradients[0][7] == 0);
}

TEST_CASE("heights are scaled by the range of the whole map where one is given", "[hand]") {
    // Four patches of two tiles, one pixel each: patches 0 and 2 are of tile 0.
    const auto result = reference(ops::HeightEncoding{}, {{activation({4, 1, 1, 1}), {1, 5, 3, 7}},
                                                          {activation({2, 1, 3, 1}), {0, 2, 4, 5, 6, 9}}});
    const auto height = [&](std::size_t patch) { return result.outputs[0][patch * 67 + 64]; };
    CHECK(height(0) == Approx(.25).margin(1e-6));
    CHECK(height(1) == Approx(0).margin(1e-6));
    CHECK(height(2) == Approx(.75).margin(1e-6));
    CHECK(height(3) == Approx(.5).margin(1e-6));
}

TEST_CASE("the softmax of a certain class has low contrast", "[hand]") {
    const auto result = reference(
        ops::Diffuse{.dtype = DType::f64},
        {{activation({1, 1, 1, 6}), {1, 0, 0, 0, 0, 0}}, {state({1}), {0}}, {{Role::keys, {1}}, {7}}});
    CHECK(equal(result.outputs[0], {.352187, .129562, .129562, .129562, .129562, .129562}));
}

TEST_CASE("the time embedding at 1 is the specification's", "[hand]") {
    const auto result = reference(ops::TimeEmbedding{32, DType::f64}, {{state({1}), {1}}});
    const Numbers sines{.84147, .51514, .28870, .15783}, cosines{.54030, .85711, .95742, .98747};
    for (std::size_t k = 0; k < 4; ++k) {
        CHECK(result.outputs[0][k] == Approx(sines[k]).margin(1e-5));
        CHECK(result.outputs[0][16 + k] == Approx(cosines[k]).margin(1e-5));
    }
}

TEST_CASE("labels at a quarter of their resolution are the means of the central four", "[hand]") {
    // 4 x 4 labels; the central ones are 0, 1, 1, 2, the others 3.
    const auto result = reference(ops::SoftTargets{1, 1, 4, ops::VoidPixels::masked, DType::f64},
                                  {{labels({1, 4, 4}), {3, 3, 3, 3, 3, 0, 1, 3, 3, 1, 2, 3, 3, 3, 3, 3}}});
    CHECK(equal(result.outputs[0], {.25, .5, .25, 0}));
    // A void label within them voids the pixel; one beside them does not.
    const auto voided = reference(ops::SoftTargets{1, 1, 4, ops::VoidPixels::masked, DType::f64},
                                  {{labels({1, 4, 4}), {3, 3, 3, 3, 3, 0, 255, 3, 3, 1, 2, 3, 3, 3, 3, 3}}});
    CHECK(equal(voided.outputs[0], {0, 0, 0, 0}));
    const auto beside = reference(ops::SoftTargets{1, 1, 4, ops::VoidPixels::masked, DType::f64},
                                  {{labels({1, 4, 4}), {255, 3, 3, 3, 3, 0, 1, 3, 3, 1, 2, 3, 3, 3, 3, 3}}});
    CHECK(equal(beside.outputs[0], {.25, .5, .25, 0}));
}

TEST_CASE("Kummer's function gives the published kernel on the sphere", "[hand]") {
    // Curvature-matched to the Gauss measure with bandwidth 1 and six classes: 0.6846 at r2 = 1, 0.5427 at r2
    // = 2.
    for (const auto& [x, value] :
         {std::pair{Numbers{1, 0, 0, 0, 0, 0}, .6846}, std::pair{Numbers{1, 1, 0, 0, 0, 0}, .5427}}) {
        Numbers two(12, 0.0);
        std::copy(x.begin(), x.end(), two.begin());
        const Numbers same = one_hot({5, 5});
        ops::KernelDiscrepancy op{.measure = ops::KernelDiscrepancy::Measure::sphere};
        const auto apart = discrepancy(op, two, same);
        // T = k(x1, x2) + 1 - mean over both of 2 k(x, e5) / 2; the same with x = 0 twice isolates k(x1, x2).
        Numbers first(12, 0.0), second(12, 0.0);
        std::copy(x.begin(), x.end(), first.begin());
        std::copy(x.begin(), x.end(), first.begin() + 6);
        const double at_x = discrepancy(op, first, same).outputs[0][0] / 2;      // 2 - 2 k(x, e5)
        const double at_zero = discrepancy(op, second, same).outputs[0][0] / 2;  // 2 - 2 k(0, e5)
        const double between = apart.outputs[0][0] / 2 - 1 + (2 - at_x / 1 + 2 - at_zero) / 2;
        CHECK(between == Approx(value).margin(1e-4));
    }
}
