// The reference against numbers worked out by hand: convolutions and products.
#include "kernels/by_hand.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

const std::vector<double> one_to_nine{1, 2, 3, 4, 5, 6, 7, 8, 9};

}  // namespace

TEST_CASE("a 2x2 convolution of the numbers 1 to 9", "[hand]") {
    const auto result = reference(ops::Convolution{.kernel = 2, .padding = 0},
                                  {{activation({1, 3, 3, 1}), one_to_nine},
                                   {parameter({1, 2, 2, 1}), {1, 2, 3, 4}},
                                   {parameter({1}), {0.5}}},
                                  {{1, 1, 1, 1}});
    // 1*1 + 2*2 + 3*4 + 4*5 = 37, each step right adds 1+2+3+4, each step down three times as much.
    CHECK(equal(result.outputs[0], {37.5, 47.5, 67.5, 77.5}));
    // Every pixel gets the weights of the windows that hold it.
    CHECK(equal(result.gradients[0], {1, 3, 2, 4, 10, 6, 3, 7, 4}));
    CHECK(equal(result.gradients[1], {1 + 2 + 4 + 5, 2 + 3 + 5 + 6, 4 + 5 + 7 + 8, 5 + 6 + 8 + 9}));
    CHECK(equal(result.gradients[2], {4}));
}

TEST_CASE("convolution weights are output channel, row, column, input channel", "[hand]") {
    const auto pointwise =
        reference(ops::Convolution{.kernel = 1, .padding = 0},
                  {{activation({1, 1, 1, 2}), {5, 6}}, {parameter({2, 1, 1, 2}), {1, 2, 3, 4}}});
    CHECK(equal(pointwise.outputs[0], {1 * 5 + 2 * 6, 3 * 5 + 4 * 6}));
    const auto grouped = reference(ops::Convolution{.kernel = 1, .padding = 0, .groups = 2},
                                   {{activation({1, 1, 1, 2}), {2, 3}}, {parameter({2, 1, 1, 1}), {5, 7}}});
    CHECK(equal(grouped.outputs[0], {2 * 5, 3 * 7}));
}

TEST_CASE("convolution reads at stride, padding and dilation", "[hand]") {
    // One row; the kernel's middle row is 1, 10, 100: the digits of y show which x were read.
    const Given x{activation({1, 1, 5, 1}), {1, 2, 3, 4, 5}};
    const Given weight{parameter({1, 3, 3, 1}), {0, 0, 0, 1, 10, 100, 0, 0, 0}};
    CHECK(equal(reference(ops::Convolution{}, {x, weight}).outputs[0], {210, 321, 432, 543, 54}));
    CHECK(equal(reference(ops::Convolution{.stride = 2}, {x, weight}).outputs[0], {210, 432, 54}));
    CHECK(equal(reference(ops::Convolution{.padding = 2, .dilation = 2}, {x, weight}).outputs[0],
                {310, 420, 531, 42, 53}));
}

TEST_CASE("a transposed convolution stamps its kernel", "[hand]") {
    const auto result =
        reference(ops::TransposedConvolution{},
                  {{activation({1, 1, 2, 1}), {1, 2}}, {parameter({1, 2, 2, 1}), {1, 2, 3, 4}}},
                  {{1, 1, 1, 1, 1, 1, 1, 1}});
    CHECK(equal(result.outputs[0], {1, 2, 2, 4, 3, 4, 6, 8}));
    CHECK(equal(result.gradients[0], {10, 10}));
    CHECK(equal(result.gradients[1], {3, 3, 3, 3}));
}

TEST_CASE("a linear layer of two inputs and three outputs", "[hand]") {
    const auto result = reference(
        ops::Linear{},
        {{activation({1, 2}), {1, 2}}, {parameter({3, 2}), {3, 4, 5, 6, 7, 8}}, {parameter({3}), {1, 1, 1}}},
        {{1, 1, 1}});
    CHECK(equal(result.outputs[0], {3 + 8 + 1, 5 + 12 + 1, 7 + 16 + 1}));
    CHECK(equal(result.gradients[0], {3 + 5 + 7, 4 + 6 + 8}));
    CHECK(equal(result.gradients[1], {1, 2, 1, 2, 1, 2}));
    CHECK(equal(result.gradients[2], {1, 1, 1}));
}

TEST_CASE("a matrix product, plain and with a turned factor", "[hand]") {
    const Given a{activation({1, 2, 2}), {1, 2, 3, 4}};
    const std::vector<double> expected{9.5, 11, 21.5, 25};  // [1 2; 3 4] [5 6; 7 8] / 2
    CHECK(equal(reference(ops::MatMul{.scale = 0.5}, {a, {activation({1, 2, 2}), {5, 6, 7, 8}}}).outputs[0],
                expected));
    CHECK(equal(reference(ops::MatMul{.transpose_b = ops::Transpose::yes, .scale = 0.5},
                          {a, {activation({1, 2, 2}), {5, 7, 6, 8}}})
                    .outputs[0],
                expected));
}
