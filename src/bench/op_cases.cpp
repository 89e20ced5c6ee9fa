#include "bench/op_cases.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace terrane::bench {

namespace {

/// Collects cases, counting those that are equal.
class CaseList {
  public:
    explicit CaseList(DType compute) : compute_(compute) {}

    /// A convolution and its batch normalisation; returns the output's shape.
    Shape convolution(const Shape& x, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                      std::int64_t dilation, ops::Residual residual, bool data_gradient = true) {
        const ops::Convolution op{
            .kernel = kernel, .stride = stride, .padding = dilation * (kernel - 1) / 2, .dilation = dilation};
        const std::vector<TensorSpec> inputs{{compute_, x},
                                             {DType::f32, Shape{out, kernel, kernel, x.channels()}}};
        const Shape y = op.outputs(inputs)[0].shape;
        add({fmt::format("conv{}x{} s{} d{} {}x{} {}->{}", kernel, kernel, stride, dilation, x.height(),
                         x.width(), x.channels(), out),
             op, inputs, 1, data_gradient});
        const TensorSpec channel{DType::f32, Shape{out}};
        std::vector<TensorSpec> norm_inputs{{compute_, y}, channel, channel, channel, channel};
        if (residual == ops::Residual::yes) norm_inputs.push_back({compute_, y});
        add({fmt::format("norm{} {}x{} {}", residual == ops::Residual::yes ? "+residual" : "", y.height(),
                         y.width(), out),
             ops::BatchNorm{.rectify = ops::Rectify::yes, .residual = residual}, norm_inputs, 1, true});
        return y;
    }

    void add(OpCase op_case) {
        const auto same = std::find_if(cases_.begin(), cases_.end(),
                                       [&](const OpCase& other) { return other.name == op_case.name; });
        if (same == cases_.end()) {
            cases_.push_back(std::move(op_case));
        } else {
            ++same->count;
        }
    }

    std::vector<OpCase> take() { return std::move(cases_); }

  private:
    DType compute_;
    std::vector<OpCase> cases_;
};

}  // namespace

std::vector<OpCase> resnet_cases(int depth, std::int64_t batch, std::int64_t crop, std::int64_t bands,
                                 int dilated_stage, DType compute) {
    TERRANE_ASSERT(depth == 18 || depth == 50, "no list for a ResNet of {} layers", depth);
    using ops::Residual;
    const std::int64_t blocks[4] = {depth == 18 ? 2 : 3, depth == 18 ? 2 : 4, depth == 18 ? 2 : 6,
                                    depth == 18 ? 2 : 3};
    CaseList list(compute);
    Shape x = list.convolution({batch, crop, crop, bands}, 64, 7, 2, 1, Residual::no, false);
    x = Shape{batch, (x.height() + 1) / 2, (x.width() + 1) / 2, 64};  // the pooling after the stem
    std::int64_t dilation = 1;
    for (int stage = 1; stage <= 4; ++stage) {
        const std::int64_t width = std::int64_t{32} << stage;
        const std::int64_t out = depth == 18 ? width : 4 * width;
        for (std::int64_t block = 0; block < blocks[stage - 1]; ++block) {
            std::int64_t stride = block == 0 && stage > 1 ? 2 : 1;
            if (stride == 2 && stage >= dilated_stage) {
                stride = 1;
                dilation *= 2;
            }
            if (x.channels() != out || stride != 1) {
                list.convolution(x, out, 1, stride, 1, Residual::no);
            }
            if (depth == 18) {
                const Shape inner = list.convolution(x, width, 3, stride, dilation, Residual::no);
                x = list.convolution(inner, out, 3, 1, dilation, Residual::yes);
            } else {
                const Shape narrow = list.convolution(x, width, 1, 1, 1, Residual::no);
                const Shape inner = list.convolution(narrow, width, 3, stride, dilation, Residual::no);
                x = list.convolution(inner, out, 1, 1, 1, Residual::yes);
            }
        }
    }
    return list.take();
}

std::vector<OpCase> assorted_cases(std::int64_t batch, std::int64_t crop, DType compute) {
    CaseList list(compute);
    const std::int64_t eighth = crop / 8, quarter = crop / 4;
    for (const std::int64_t dilation : {12, 24, 36}) {
        list.convolution({batch, eighth, eighth, 512}, 256, 3, 1, dilation, ops::Residual::no);
    }
    const auto spec = [&](Shape shape) { return TensorSpec{compute, shape}; };
    const auto parameter = [](Shape shape) { return TensorSpec{DType::f32, shape}; };
    const Shape map{batch, quarter, quarter, 128};
    const std::int64_t tokens = eighth * eighth;
    list.add({"linear 384->1536",
              ops::Linear{},
              {spec({batch, tokens, 384}), parameter({1536, 384}), parameter({1536})}});
    list.add({"linear 1536->384",
              ops::Linear{},
              {spec({batch, tokens, 1536}), parameter({384, 1536}), parameter({384})}});
    list.add({"matmul q k^T",
              ops::MatMul{ops::Transpose::no, ops::Transpose::yes, 0.125},
              {spec({batch * 6, tokens, 64}), spec({batch * 6, tokens, 64})}});
    list.add(
        {"matmul p v", ops::MatMul{}, {spec({batch * 6, tokens, tokens}), spec({batch * 6, tokens, 64})}});
    list.add({"attention 12 heads of 64", ops::Attention{.heads = 12}, {spec({batch, 197, 3 * 768})}});
    list.add({"attention 4 heads of 32",
              ops::Attention{.heads = 4, .form = ops::AttentionInputs::keys_with_values},
              {spec({batch, 1024, 128}), spec({batch, 1024, 256})}});
    list.add({"depthwise 3x3", ops::Convolution{.groups = 128}, {spec(map), parameter({128, 3, 3, 1})}});
    list.add({"transposed 2x2 s2",
              ops::TransposedConvolution{},
              {spec({batch, eighth, eighth, 256}), parameter({256, 2, 2, 128}), parameter({128})}});
    list.add({"relu", ops::Activation{ops::ActivationKind::relu}, {spec(map)}});
    list.add({"gelu", ops::Activation{ops::ActivationKind::gelu}, {spec(map)}});
    list.add({"add", ops::Add{}, {spec(map), spec(map)}});
    list.add({"concat", ops::Concat{}, {spec(map), spec(map)}});
    list.add({"max pool 3x3 s2", ops::Pool{}, {spec({batch, crop / 2, crop / 2, 64})}});
    list.add({"global average", ops::AdaptivePool{}, {spec(map)}});
    list.add({"resize x2", ops::Resize{.height = crop / 2, .width = crop / 2}, {spec(map)}});
    list.add({"layer norm", ops::LayerNorm{}, {spec(map), parameter({128}), parameter({128})}});
    list.add({"group norm", ops::GroupNorm{}, {spec(map), parameter({128}), parameter({128})}});
    list.add({"dropout", ops::Dropout{}, {spec(map)}});
    list.add({"dropout of channels", ops::Dropout{.kind = ops::DropoutKind::channel}, {spec(map)}});
    list.add({"gate per pixel", ops::Multiply{}, {spec(map), spec({batch, quarter, quarter, 1})}});
    list.add({"gate per channel", ops::Multiply{}, {spec(map), spec({batch, 1, 1, 128})}});
    list.add({"gated sum of 3",
              ops::GatedSum{},
              {spec(map), spec(map), spec(map), spec({batch, quarter, quarter, 3}), parameter({batch, 3})}});
    const Shape logits{batch, crop / 2, crop / 2, 7};
    const TensorSpec labels{DType::u8, Shape{batch, crop, crop}};
    list.add({"cross-entropy x2", ops::CrossEntropy{}, {spec(logits), labels, parameter({7})}});
    list.add({"Dice x2", ops::Dice{}, {spec(logits), labels, parameter({7})}});
    list.add({"distance entropy x2", ops::DistanceEntropy{}, {spec(logits), labels}});
    const Shape tokens_of_512{batch, eighth, eighth, 512};
    list.add({"rectification of 512",
              ops::LocalizationRectification{},
              {spec(tokens_of_512), spec(tokens_of_512), spec(tokens_of_512), parameter({1}), labels}});
    list.add({"classify x2", ops::Classify{}, {spec(logits), labels, {DType::i64, Shape{7, 7}}}});
    list.add({"softmax x2", ops::Softmax{.height = crop, .width = crop}, {spec(logits)}});
    return list.take();
}

}  // namespace terrane::bench
