// The reference against numbers worked out by hand: norms, pools, resizing, pointwise ops.
#include "base/philox.hpp"
#include "kernels/by_hand.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

TEST_CASE("batch norm of 1, 2, 3, 6", "[hand]") {
    // mean 3, variance 3.5, epsilon 0.5: the divisor is 2 and xhat = -1, -0.5, 0, 1.5.
    const std::vector<Given> inputs{{activation({1, 2, 2, 1}), {1, 2, 3, 6}},
                                    {parameter({1}), {2}},
                                    {parameter({1}), {1}},
                                    {state({1}), {0}},
                                    {state({1}), {1}}};
    const auto result = reference(ops::BatchNorm{.epsilon = 0.5}, inputs, {{1, 0, 0, 1}});
    CHECK(equal(result.outputs[0], {-1, 0, 1, 4}));
    CHECK(equal(result.states[3], {0.3}));
    CHECK(equal(result.states[4], {0.9 + 0.1 * 3.5 * 4 / 3}));  // the running variance is unbiased
    CHECK(equal(result.gradients[1], {-1 + 1.5}));
    CHECK(equal(result.gradients[2], {2}));
    // scale / 2 * (dy - 2 / 4 - xhat * 0.5 / 4)
    CHECK(equal(result.gradients[0], {0.625, -0.4375, -0.5, 0.3125}));

    const auto rectified =
        reference(ops::BatchNorm{.epsilon = 0.5, .rectify = ops::Rectify::yes}, inputs, {{1, 1, 1, 1}});
    CHECK(equal(rectified.outputs[0], {0, 0, 1, 4}));
    CHECK(equal(rectified.gradients[2], {2}));

    // Inference: running mean 0 and variance 1, epsilon 3: x / 2 * 2 + 1; the states stay.
    const auto inference = reference(ops::BatchNorm{.epsilon = 3}, inputs);
    CHECK(equal(inference.outputs[0], {2, 3, 4, 7}));
    CHECK(equal(inference.states[3], {0}));
}

TEST_CASE("group norm takes statistics over a sample's group of channels", "[hand]") {
    // Group 0 holds 1, 3, 1, 3 and group 1 holds 0, 0, 2, 2: both have variance 1, epsilon 3 makes it 2.
    const auto result = reference(ops::GroupNorm{.groups = 2, .epsilon = 3},
                                  {{activation({1, 1, 2, 4}), {1, 3, 0, 0, 1, 3, 2, 2}},
                                   {parameter({4}), {1, 2, 3, 4}},
                                   {parameter({4}), {0, 0, 1, 1}}});
    CHECK(equal(result.outputs[0], {-0.5, 1, -0.5, -1, -0.5, 1, 2.5, 3}));
}

TEST_CASE("layer norm of 1 and 3", "[hand]") {
    const auto result = reference(
        ops::LayerNorm{.epsilon = 3},
        {{activation({1, 2}), {1, 3}}, {parameter({2}), {2, 4}}, {parameter({2}), {1, 0}}}, {{1, 1}});
    CHECK(equal(result.outputs[0], {0, 2}));  // xhat = -0.5, 0.5
    // g = 2, 4; mean g = 3; mean g xhat = 0.5; dx = (g - 3 - 0.5 xhat) / 2
    CHECK(equal(result.gradients[0], {-0.375, 0.375}));
    CHECK(equal(result.gradients[1], {-0.5, 0.5}));
    CHECK(equal(result.gradients[2], {1, 1}));
}

TEST_CASE("pools of the numbers 1 to 9", "[hand]") {
    const Given x{activation({1, 3, 3, 1}), {1, 2, 3, 4, 5, 6, 7, 8, 9}};
    const auto maximum = reference(ops::Pool{.kernel = 2, .stride = 1, .padding = 0}, {x}, {{1, 2, 3, 4}});
    CHECK(equal(maximum.outputs[0], {5, 6, 8, 9}));
    CHECK(equal(maximum.gradients[0], {0, 0, 0, 0, 1, 2, 0, 3, 4}));
    const auto average = reference(ops::Pool{.kind = ops::PoolKind::average}, {x}, {{4, 4, 4, 4}});
    CHECK(equal(average.outputs[0], {3, 4, 6, 7}));  // the padding does not count
    CHECK(equal(average.gradients[0], {1, 2, 1, 2, 4, 2, 1, 2, 1}));
    const auto ceiling = reference(ops::Pool{.kernel = 2, .padding = 0, .rounding = ops::Rounding::ceiling},
                                   {x}, {{1, 1, 1, 1}});
    CHECK(equal(ceiling.outputs[0], {5, 6, 8, 9}));
}

TEST_CASE("of equal values the first in row-major order gets the maximum's gradient", "[hand]") {
    const auto result =
        reference(ops::Pool{.kernel = 2, .padding = 0}, {{activation({1, 2, 2, 1}), {7, 7, 7, 7}}}, {{3}});
    CHECK(equal(result.gradients[0], {3, 0, 0, 0}));
}

TEST_CASE("adaptive bins of five positions in two overlap", "[hand]") {
    const auto result =
        reference(ops::AdaptivePool{1, 2}, {{activation({1, 1, 5, 1}), {1, 2, 3, 4, 5}}}, {{3, 6}});
    CHECK(equal(result.outputs[0], {2, 4}));  // bins [0, 3) and [2, 5)
    CHECK(equal(result.gradients[0], {1, 1, 3, 2, 2}));
}

TEST_CASE("resizing 0, 1 to four positions under both corner conventions", "[hand]") {
    const Given x{activation({1, 1, 2, 1}), {0, 1}};
    const auto half = reference(ops::Resize{1, 4}, {x}, {{1, 2, 3, 4}});
    CHECK(equal(half.outputs[0], {0, 0.25, 0.75, 1}));
    CHECK(equal(half.gradients[0], {1 + 0.75 * 2 + 0.25 * 3, 0.25 * 2 + 0.75 * 3 + 4}));
    const auto aligned = reference(ops::Resize{1, 4, ops::Corners::align_corners}, {x}, {{1, 2, 3, 4}});
    CHECK(equal(aligned.outputs[0], {0, 1.0 / 3, 2.0 / 3, 1}));
    CHECK(equal(aligned.gradients[0], {1 + 2 * 2.0 / 3 + 3 * 1.0 / 3, 2 * 1.0 / 3 + 3 * 2.0 / 3 + 4}));
    // Down from 3 to 2: positions 0.25 and 1.75.
    CHECK(equal(reference(ops::Resize{1, 2}, {{activation({1, 1, 3, 1}), {4, 8, 16}}}).outputs[0],
                {0.75 * 4 + 0.25 * 8, 0.25 * 8 + 0.75 * 16}));
}

TEST_CASE("activations and their slopes at known points", "[hand]") {
    const auto at = [](ops::ActivationKind kind, std::vector<double> x) {
        const std::vector<double> ones(x.size(), 1.0);
        const auto count = static_cast<std::int64_t>(x.size());
        return reference(ops::Activation{kind}, {{activation({1, count}), std::move(x)}}, ones);
    };
    const auto relu = at(ops::ActivationKind::relu, {-1, 0, 2});
    CHECK(equal(relu.outputs[0], {0, 0, 2}));
    CHECK(equal(relu.gradients[0], {0, 0, 1}));
    // Python: x * 0.5 * (1 + erf(x / sqrt(2))), and its derivative Phi + x * phi
    const auto gelu = at(ops::ActivationKind::gelu, {-2, -0.5, 0, 1});
    CHECK(equal(gelu.outputs[0], {-0.04550026389635842, -0.15426876936299344, 0, 0.8413447460685429}));
    CHECK(equal(gelu.gradients[0], {-0.08523180107819692, 0.13250487534383712, 0.5, 1.0833154705876864}));
    // Python: s = 1 / (1 + exp(-x)); x * s, s * (1 + x * (1 - s))
    const auto silu = at(ops::ActivationKind::silu, {-2, 0, 3});
    CHECK(equal(silu.outputs[0], {-0.2384058440442351, 0, 2.8577223804673}));
    CHECK(equal(silu.gradients[0], {-0.09078424878489547, 0.5, 1.0881041060151693}));
    const auto sigmoid = at(ops::ActivationKind::sigmoid, {-2, 0, 3});
    CHECK(equal(sigmoid.outputs[0], {0.11920292202211755, 0.5, 0.9525741268224334}));
    CHECK(equal(sigmoid.gradients[0], {0.1049935854035065, 0.25, 0.045176659730912}));
}

TEST_CASE("a gate per sample multiplies and gathers", "[hand]") {
    const auto result = reference(
        ops::Multiply{}, {{activation({2, 1, 1, 2}), {1, 2, 3, 4}}, {activation({2, 1, 1, 1}), {10, 20}}},
        {{1, 1, 1, 1}});
    CHECK(equal(result.outputs[0], {10, 20, 60, 80}));
    CHECK(equal(result.gradients[0], {10, 10, 20, 20}));
    CHECK(equal(result.gradients[1], {3, 7}));
}

TEST_CASE("a gated sum leaves out an absent modality", "[hand]") {
    const auto result = reference(ops::GatedSum{},
                                  {{activation({1, 1, 1, 1}), {4}},
                                   {activation({1, 1, 1, 1}), {8}},
                                   {activation({1, 1, 1, 2}), {0, 0}},
                                   {state({1, 2}, Fill::presence), {1, 0}}},
                                  {{1}});
    CHECK(equal(result.outputs[0], {0.5 * 4}));
    CHECK(equal(result.gradients[0], {0.5}));
    CHECK(equal(result.gradients[1], {0}));
    CHECK(equal(result.gradients[2], {0.25 * 4, 0}));
}

TEST_CASE("concat and slice undo each other", "[hand]") {
    const Given a{activation({2, 1}), {1, 4}}, b{activation({2, 2}), {2, 3, 5, 6}};
    const auto joined = reference(ops::Concat{}, {a, b}, {{1, 2, 3, 4, 5, 6}});
    CHECK(equal(joined.outputs[0], {1, 2, 3, 4, 5, 6}));
    CHECK(equal(joined.gradients[0], {1, 4}));
    CHECK(equal(joined.gradients[1], {2, 3, 5, 6}));
    const auto cut = reference(ops::Slice{1, 3}, {{activation({2, 3}), {1, 2, 3, 4, 5, 6}}}, {{7, 8, 9, 10}});
    CHECK(equal(cut.outputs[0], {2, 3, 5, 6}));
    CHECK(equal(cut.gradients[0], {0, 7, 8, 0, 9, 10}));
}

TEST_CASE("dropout draws by global sample and element", "[hand]") {
    // run_case gives seed 1, step 3 and first sample 5.
    const std::vector<double> ones(12, 1.0);
    const auto result =
        reference(ops::Dropout{.probability = 0.25, .stream = 9}, {{activation({2, 2, 3}), ones}}, ones);
    const auto channels =
        reference(ops::Dropout{.probability = 0.25, .kind = ops::DropoutKind::channel, .stream = 9},
                  {{activation({2, 2, 3}), ones}}, ones);
    for (std::uint64_t i = 0; i < 12; ++i) {
        const std::uint64_t sample = 5 + i / 6;
        const auto expected = [&](std::uint64_t index) {
            return Philox::uniform(Philox::draw(1, 9 ^ 3, index / 4)[index % 4]) < 0.25f ? 0.0 : 4.0 / 3;
        };
        CHECK(result.outputs[0][i] == expected(sample * 6 + i % 6));
        CHECK(result.gradients[0][i] == result.outputs[0][i]);
        CHECK(channels.outputs[0][i] == expected(sample * 3 + i % 3));
    }
    CHECK(equal(reference(ops::Dropout{.probability = 0.25}, {{activation({2, 2, 3}), ones}}).outputs[0],
                ones));
}
