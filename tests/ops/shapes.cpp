// Shape rules against brute force: counting the places where a window fits.
#include "ops/op.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::ops;

namespace {

TensorSpec f32(Shape shape) {
    return {DType::f32, shape};
}

Shape output_shape(const Op& op, std::vector<TensorSpec> inputs) {
    return describe(op, std::move(inputs)).outputs.at(0).shape;
}

/// How many windows of the given reach begin at multiples of stride, from -padding on, and end inside.
std::int64_t windows(std::int64_t size, std::int64_t reach, std::int64_t stride, std::int64_t padding) {
    std::int64_t count = 0;
    for (std::int64_t begin = -padding; begin + reach <= size + padding; begin += stride) ++count;
    return count;
}

}  // namespace

TEST_CASE("a convolution has one output per window that fits the padded input", "[ops]") {
    for (const std::int64_t kernel : {1, 2, 3, 5, 7}) {
        for (const std::int64_t stride : {1, 2, 3, 4}) {
            for (const std::int64_t padding : {0, 1, 3}) {
                for (const std::int64_t dilation : {1, 2}) {
                    const std::int64_t reach = dilation * (kernel - 1) + 1;
                    const Convolution op{kernel, stride, padding, dilation, 1};
                    const Shape y = output_shape(op, {f32({2, 17, 20, 3}), f32({5, kernel, kernel, 3})});
                    CHECK(y == Shape{2, windows(17, reach, stride, padding),
                                     windows(20, reach, stride, padding), 5});
                }
            }
        }
    }
}

TEST_CASE("a transposed convolution undoes a convolution's change of size", "[ops]") {
    for (const std::int64_t kernel : {2, 3, 4}) {
        for (const std::int64_t stride : {1, 2, 3}) {
            for (std::int64_t extra = 0; extra < stride; ++extra) {
                const Shape large = output_shape(TransposedConvolution{kernel, stride, 1, extra},
                                                 {f32({1, 5, 6, 4}), f32({4, kernel, kernel, 7})});
                CHECK(large.channels() == 7);
                const Shape small = output_shape(Convolution{kernel, stride, 1, 1, 1},
                                                 {f32(large), f32({4, kernel, kernel, 7})});
                CHECK(small == Shape{1, 5, 6, 4});
            }
        }
    }
}

TEST_CASE("pooling rounds the window count down, or up where the window begins inside", "[ops]") {
    for (const std::int64_t size : {4, 5, 6, 7, 8, 9, 13}) {
        for (const std::int64_t kernel : {2, 3, 5}) {
            for (const std::int64_t stride : {1, 2, 3}) {
                for (const std::int64_t padding : {0, 1}) {
                    if (kernel > size) continue;
                    Pool op{.kernel = kernel, .stride = stride, .padding = padding};
                    const TensorSpec x = f32({1, size, size, 2});
                    const std::int64_t down = windows(size, kernel, stride, padding);
                    CHECK(output_shape(op, {x}) == Shape{1, down, down, 2});
                    // One more window if the last one leaves something over and the next begins inside.
                    const std::int64_t next = -padding + down * stride;
                    const bool over = -padding + (down - 1) * stride + kernel < size + padding;
                    const std::int64_t up = down + (over && next < size ? 1 : 0);
                    op.rounding = Rounding::ceiling;
                    INFO("size " << size << " kernel " << kernel << " stride " << stride << " padding "
                                 << padding);
                    CHECK(output_shape(op, {x}) == Shape{1, up, up, 2});
                }
            }
        }
    }
}

TEST_CASE("other shape rules", "[ops]") {
    const TensorSpec map = f32({2, 5, 7, 6});
    CHECK(output_shape(Resize{10, 3}, {map}) == Shape{2, 10, 3, 6});
    CHECK(output_shape(AdaptivePool{1, 4}, {map}) == Shape{2, 1, 4, 6});
    CHECK(output_shape(Concat{}, {map, f32({2, 5, 7, 1})}) == Shape{2, 5, 7, 7});
    CHECK(output_shape(Slice{2, 5}, {map}) == Shape{2, 5, 7, 3});
    CHECK(output_shape(Linear{}, {map, f32({9, 6})}) == Shape{2, 5, 7, 9});
    CHECK(output_shape(MatMul{.transpose_a = Transpose::yes, .transpose_b = Transpose::yes},
                       {f32({3, 4, 5}), f32({3, 6, 4})}) == Shape{3, 5, 6});
    const auto loss = describe(CrossEntropy{}, {map, {DType::u8, {2, 20, 28}}, f32({6})});
    CHECK(loss.outputs.at(0) == TensorSpec{DType::f64, {2}});
    const auto classes = describe(Classify{}, {map, {DType::u8, {2, 20, 28}}, {DType::i64, {6, 6}}});
    CHECK(classes.outputs.at(0) == TensorSpec{DType::u8, {2, 20, 28}});
    const auto probabilities = describe(Softmax{9, 8}, {{DType::bf16, {2, 5, 7, 6}}});
    CHECK(probabilities.outputs.at(0) == f32({2, 9, 8, 6}));
}
