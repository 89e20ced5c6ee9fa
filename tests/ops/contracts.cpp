// What every op promises besides its shapes: it refuses inputs that do not fit, and states cost and needs.
#include "base/error.hpp"
#include "ops/op.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::ops;

namespace {

TensorSpec f32(Shape shape) {
    return {DType::f32, shape};
}

}  // namespace

TEST_CASE("inputs that do not fit are refused before anything runs", "[ops]") {
    const TensorSpec map = f32({2, 5, 7, 6});
    const TensorSpec labels{DType::u8, {2, 5, 7}};
    const auto refused = [](const Op& op, std::vector<TensorSpec> inputs) {
        CHECK_THROWS_AS(describe(op, std::move(inputs)), InternalError);
    };
    refused(Convolution{}, {map});
    refused(Convolution{}, {map, f32({4, 3, 3, 5})});                           // input channels
    refused(Convolution{}, {map, f32({4, 5, 5, 6})});                           // kernel
    refused(Convolution{.groups = 4}, {map, f32({4, 3, 3, 1})});                // 6 channels in 4 groups
    refused(Convolution{}, {map, f32({4, 3, 3, 6}), f32({5})});                 // bias
    refused(Convolution{.kernel = 9, .padding = 0}, {map, f32({4, 9, 9, 6})});  // larger than the map
    refused(TransposedConvolution{.output_padding = 2}, {map, f32({6, 2, 2, 4})});
    refused(BatchNorm{}, {map, f32({6}), f32({6}), f32({6})});
    refused(BatchNorm{.residual = Residual::yes},
            {map, f32({6}), f32({6}), f32({6}), f32({6}), f32({2, 5, 7, 5})});
    refused(GroupNorm{.groups = 4}, {map, f32({6}), f32({6})});
    refused(LayerNorm{}, {map, f32({5}), f32({6})});
    refused(Linear{}, {map, f32({4, 5})});
    refused(MatMul{}, {f32({2, 3, 4}), f32({2, 5, 6})});
    refused(Add{}, {map});
    refused(Add{}, {map, {DType::bf16, map.shape}});
    refused(Attention{.heads = 2}, {f32({2, 5, 15})});                  // no two heads
    refused(Attention{.form = AttentionInputs::separate}, {map, map});  // values are missing
    refused(Attention{.form = AttentionInputs::keys_with_values}, {map, f32({2, 9, 6})});
    refused(Attention{.form = AttentionInputs::separate}, {map, f32({2, 9, 6}), f32({2, 8, 6})});
    refused(PositionalEmbedding{}, {map, f32({1, 34, 6})});
    refused(PositionalEmbedding{.skip = 1}, {map, f32({1, 35, 6})});
    refused(Multiply{}, {map, f32({2, 5, 7, 3})});
    refused(Concat{}, {map, f32({2, 5, 6, 6})});
    refused(Slice{4, 7}, {map});
    refused(Slice{3, 3}, {map});
    refused(Pool{.kernel = 3, .padding = 2}, {map});
    refused(Pool{.kernel = 8, .padding = 0}, {map});
    refused(Dropout{.probability = 1}, {map});
    refused(GatedSum{}, {map, map, f32({2, 5, 7, 3}), f32({2, 2})});
    refused(CrossEntropy{}, {map, f32({2, 5, 7}), f32({6})});          // labels are u8
    refused(CrossEntropy{}, {map, {DType::u8, {3, 5, 7}}, f32({6})});  // another batch
    refused(CrossEntropy{}, {f32({2, 5, 7, 255}), labels, f32({255})});
    refused(Dice{}, {map, labels, f32({5})});
    refused(DistanceEntropy{}, {map, f32({2, 5, 7})});                // distances are bytes
    refused(DistanceEntropy{}, {map, {DType::u8, {3, 5, 7}}});        // another batch
    refused(LocalizationRectification{}, {map, map, map, f32({1})});  // the class map is missing
    refused(LocalizationRectification{}, {map, map, f32({2, 5, 7, 5}), f32({1}), labels});
    refused(LocalizationRectification{}, {map, f32({2, 7, 5, 6}), f32({2, 7, 5, 6}), f32({1}), labels});
    refused(LocalizationRectification{}, {map, map, map, f32({2}), labels});
    refused(Classify{}, {map, labels, {DType::i64, {6, 5}}});
}

TEST_CASE("a convolution costs two operations per weight and output position", "[ops]") {
    const auto descriptor = describe(Convolution{.groups = 2}, {f32({2, 8, 10, 4}), f32({6, 3, 3, 2})});
    const Cost cost = cost_of(descriptor);
    CHECK(cost.flops == 2.0 * (2 * 8 * 10 * 6) * (3 * 3 * 2));
    CHECK(cost.bytes == 4.0 * (2 * 8 * 10 * 4 + 6 * 3 * 3 * 2 + 2 * 8 * 10 * 6));
}

TEST_CASE("activations keep whichever of input and output their derivative reads", "[ops]") {
    for (const ActivationKind kind : {ActivationKind::relu, ActivationKind::sigmoid}) {
        CHECK(Activation{kind}.backward_needs().inputs == 0);
        CHECK(Activation{kind}.backward_needs().outputs == 1);
    }
    for (const ActivationKind kind : {ActivationKind::gelu, ActivationKind::silu}) {
        CHECK(Activation{kind}.backward_needs().inputs == 1);
        CHECK(Activation{kind}.backward_needs().outputs == 0);
    }
}

TEST_CASE("linear maps without parameters keep nothing for backward", "[ops]") {
    for (const Op& op :
         std::vector<Op>{Add{}, Concat{}, Slice{0, 1}, Resize{}, AdaptivePool{}, Dropout{}, Pool{}}) {
        CHECK(backward_needs_of(op).inputs == 0);
        CHECK(backward_needs_of(op).outputs == 0);
    }
}
