#include "kernels/op_case.hpp"

namespace terrane::test {

namespace {

OpCase convolution(const std::string& name, ops::Convolution op, Shape x, std::int64_t out,
                   bool bias = false) {
    std::vector<CaseInput> inputs{activation(x),
                                  parameter({out, op.kernel, op.kernel, x.channels() / op.groups})};
    if (bias) inputs.push_back(parameter({out}));
    return {"convolution " + name, op, inputs, Exact::yes};
}

OpCase transposed(const std::string& name, ops::TransposedConvolution op, Shape x, std::int64_t out,
                  bool bias = false) {
    std::vector<CaseInput> inputs{activation(x), parameter({x.channels(), op.kernel, op.kernel, out})};
    if (bias) inputs.push_back(parameter({out}));
    return {"transposed convolution " + name, op, inputs, Exact::yes};
}

}  // namespace

std::vector<OpCase> product_cases() {
    using ops::Transpose;
    std::vector<OpCase> cases{
        convolution("1x1", {.kernel = 1, .padding = 0}, {2, 3, 5, 7}, 5),
        convolution("1x1 with bias", {.kernel = 1, .padding = 0}, {1, 4, 4, 16}, 6, true),
        convolution("1x1 stride 2", {.kernel = 1, .stride = 2, .padding = 0}, {2, 5, 7, 8}, 16),
        convolution("3x3", {}, {2, 5, 7, 3}, 4),
        convolution("3x3 with bias", {}, {1, 6, 5, 16}, 17, true),
        convolution("3x3 wide", {}, {2, 8, 8, 32}, 32),
        convolution("3x3 of a larger map", {}, {1, 20, 18, 32}, 48),
        convolution("3x3 one channel in", {}, {1, 7, 6, 1}, 8),
        convolution("3x3 one channel out", {}, {1, 7, 6, 9}, 1, true),
        convolution("3x3 stride 2", {.stride = 2}, {2, 7, 6, 5}, 8),
        convolution("3x3 stride 2 even", {.stride = 2}, {1, 8, 8, 16}, 16),
        convolution("3x3 without padding", {.padding = 0}, {1, 5, 4, 6}, 5),
        convolution("3x3 dilation 2", {.padding = 2, .dilation = 2}, {1, 9, 8, 4}, 6),
        convolution("3x3 dilation 6 beyond the map", {.padding = 6, .dilation = 6}, {1, 5, 5, 3}, 4),
        convolution("3x3 depthwise", {.groups = 10}, {2, 6, 5, 10}, 10),
        convolution("3x3 depthwise stride 2", {.stride = 2, .groups = 16}, {1, 7, 7, 16}, 16, true),
        convolution("3x3 two groups", {.groups = 2}, {1, 5, 5, 6}, 8),
        convolution("5x5 stride 3", {.kernel = 5, .stride = 3, .padding = 2}, {1, 10, 8, 3}, 5),
        convolution("7x7 stride 2 stem", {.kernel = 7, .stride = 2, .padding = 3}, {2, 11, 12, 4}, 8),
        convolution("7x7 depthwise", {.kernel = 7, .padding = 3, .groups = 5}, {1, 6, 6, 5}, 5, true),
        convolution("7x7 stride 4", {.kernel = 7, .stride = 4, .padding = 3}, {1, 13, 9, 3}, 8, true),
        convolution("2x2 stride 2 patches", {.kernel = 2, .stride = 2, .padding = 0}, {1, 6, 4, 8}, 12, true),
        convolution("3x3 on one pixel", {}, {3, 1, 1, 5}, 7),
        convolution("1x1 on one pixel", {.kernel = 1, .padding = 0}, {2, 1, 1, 33}, 9, true),
        transposed("2x2 stride 2", {}, {2, 3, 4, 5}, 6),
        transposed("2x2 stride 2 with bias", {}, {1, 4, 5, 16}, 8, true),
        transposed("4x4 stride 2", {.kernel = 4, .stride = 2, .padding = 1}, {1, 4, 3, 6}, 5),
        transposed("3x3 stride 2 output padding", {.kernel = 3, .padding = 1, .output_padding = 1},
                   {2, 3, 4, 4}, 7, true),
        transposed("3x3 stride 1", {.kernel = 3, .stride = 1, .padding = 1}, {1, 5, 4, 3}, 4),
        transposed("on one pixel", {}, {2, 1, 1, 8}, 3),
    };
    cases.push_back({"linear tokens", ops::Linear{}, {activation({2, 5, 7}), parameter({9, 7})}, Exact::yes});
    cases.push_back({"linear with bias",
                     ops::Linear{},
                     {activation({6, 33}), parameter({16, 33}), parameter({16})},
                     Exact::yes});
    cases.push_back({"linear on a map with bias",
                     ops::Linear{},
                     {activation({2, 3, 4, 16}), parameter({32, 16}), parameter({32})},
                     Exact::yes});
    cases.push_back(
        {"linear one output", ops::Linear{}, {activation({5, 3}), parameter({1, 3})}, Exact::yes});
    for (const Transpose a : {Transpose::no, Transpose::yes}) {
        for (const Transpose b : {Transpose::no, Transpose::yes}) {
            const std::string name = std::string("matmul ") + (a == Transpose::yes ? "a^T " : "a ") +
                                     (b == Transpose::yes ? "b^T" : "b");
            cases.push_back({name,
                             ops::MatMul{.transpose_a = a, .transpose_b = b, .scale = 0.5},
                             {activation(a == Transpose::yes ? Shape{2, 7, 5} : Shape{2, 5, 7}),
                              activation(b == Transpose::yes ? Shape{2, 9, 7} : Shape{2, 7, 9})},
                             Exact::yes});
        }
    }
    cases.push_back({"matmul of single numbers",
                     ops::MatMul{},
                     {activation({3, 1, 1}), activation({3, 1, 1})},
                     Exact::yes});
    // Most of the kernel falls outside these maps, and its gradient is zero.
    for (OpCase& one : cases) {
        if (one.name.find("beyond the map") != std::string::npos ||
            one.name == "convolution 3x3 on one pixel") {
            one.zeros = Zeros::expected;
        }
    }
    return cases;
}

}  // namespace terrane::test
