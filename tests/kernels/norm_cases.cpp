#include "kernels/op_case.hpp"

namespace terrane::test {

namespace {

OpCase batch_norm(const std::string& name, ops::BatchNorm op, Shape x, Fill fill = Fill::standard) {
    const Shape channels{x.channels()};
    std::vector<CaseInput> inputs{activation(x, fill), parameter(channels, Fill::scale), parameter(channels),
                                  state(channels), state(channels, Fill::positive)};
    if (op.residual == ops::Residual::yes) inputs.push_back(activation(x));
    return {"batch norm " + name, op, inputs};
}

OpCase frozen(OpCase one) {
    one.frozen = Frozen::yes;
    return one;
}

OpCase group_norm(const std::string& name, ops::GroupNorm op, Shape x) {
    std::vector<CaseInput> inputs{activation(x), parameter({x.channels()}, Fill::scale),
                                  parameter({x.channels()})};
    if (op.residual == ops::Residual::yes) inputs.push_back(activation(x));
    return {"group norm " + name, op, inputs};
}

OpCase layer_norm(const std::string& name, Shape x) {
    return {"layer norm " + name,
            ops::LayerNorm{},
            {activation(x), parameter({x.channels()}, Fill::scale), parameter({x.channels()})}};
}

}  // namespace

std::vector<OpCase> norm_cases() {
    using ops::NormScope;
    using ops::Rectify;
    using ops::Residual;
    std::vector<OpCase> cases{
        batch_norm("plain", {}, {2, 3, 5, 7}),
        batch_norm("relu", {.rectify = Rectify::yes}, {2, 4, 5, 16}),
        batch_norm("residual", {.residual = Residual::yes}, {2, 3, 3, 5}),
        batch_norm("residual relu", {.rectify = Rectify::yes, .residual = Residual::yes}, {2, 5, 3, 33}),
        batch_norm("synchronised", {.scope = NormScope::synchronised}, {2, 3, 5, 6}),
        batch_norm("synchronised residual relu",
                   {.scope = NormScope::synchronised, .rectify = Rectify::yes, .residual = Residual::yes},
                   {4, 3, 4, 9}),
        batch_norm("one channel", {.momentum = 0.3}, {3, 4, 3, 1}),
        batch_norm("of many pixels", {.epsilon = 1e-3}, {1, 40, 33, 3}),
        batch_norm("one pixel per sample", {}, {6, 1, 1, 4}),
        batch_norm("far from zero", {}, {2, 6, 5, 4}, Fill::far_from_zero),
        batch_norm("of a larger map", {.rectify = Rectify::yes, .residual = Residual::yes}, {2, 33, 31, 48}),
        batch_norm("synchronised of a larger map", {.scope = NormScope::synchronised}, {4, 19, 23, 33}),
        frozen(batch_norm("frozen", {}, {2, 3, 5, 7})),
        frozen(batch_norm("frozen, relu", {.rectify = Rectify::yes}, {2, 9, 11, 33})),
        frozen(
            batch_norm("frozen, synchronised residual relu",
                       {.scope = NormScope::synchronised, .rectify = Rectify::yes, .residual = Residual::yes},
                       {2, 7, 6, 16})),
        group_norm("plain", {.groups = 2}, {2, 3, 4, 6}),
        group_norm("one group", {.groups = 1, .rectify = Rectify::yes}, {2, 4, 3, 5}),
        group_norm("32 groups", {.groups = 32}, {1, 3, 5, 64}),
        group_norm("channels as groups residual relu",
                   {.groups = 4, .rectify = Rectify::yes, .residual = Residual::yes}, {2, 5, 4, 4}),
        group_norm("silu", {.groups = 2, .silu = ops::Silu::yes}, {2, 3, 4, 6}),
        group_norm("silu of a larger map", {.groups = 8, .silu = ops::Silu::yes}, {2, 33, 21, 32}),
        group_norm("silu, one group", {.groups = 1, .silu = ops::Silu::yes}, {1, 5, 7, 3}),
        layer_norm("tokens", {2, 5, 7}),
        layer_norm("map", {2, 3, 4, 32}),
        group_norm("of a larger map", {.groups = 32}, {2, 24, 25, 96}),
        layer_norm("odd channels", {3, 67}),
        layer_norm("many tokens", {301, 130}),
    };
    // With mean 100 and spread 1 the input itself carries 100 times less precision.
    for (OpCase& one : cases) {
        if (one.inputs[0].fill == Fill::far_from_zero) one.conditioning = 100;
    }
    return cases;
}

}  // namespace terrane::test
