#include "kernels/op_case.hpp"

namespace terrane::test {

namespace {

OpCase attention(const std::string& name, ops::Attention op, std::vector<CaseInput> inputs) {
    return {"attention " + name, op, std::move(inputs)};
}

OpCase packed(const std::string& name, ops::Attention op, Shape tokens, std::int64_t width) {
    return attention(name, op, {activation(tokens.with(tokens.rank() - 1, 3 * op.heads * width))});
}

}  // namespace

std::vector<OpCase> attention_cases() {
    using ops::AttentionInputs;
    const ops::Attention pair{.heads = 4, .form = AttentionInputs::keys_with_values};
    const ops::Attention apart{.heads = 2, .form = AttentionInputs::separate, .scale = 0.3};
    std::vector<OpCase> cases{
        packed("packed", {.heads = 3}, {2, 7, 0}, 5),
        packed("packed one head", {}, {1, 49, 0}, 16),
        packed("packed 197 tokens", {.heads = 2}, {2, 197, 0}, 64),
        packed("packed on a map", {.heads = 4}, {2, 3, 5, 0}, 8),
        packed("several blocks of queries", {.heads = 1}, {1, 401, 0}, 8),
        packed("one token", {.heads = 2}, {3, 1, 0}, 4),
        packed("with dropout", {.heads = 3, .dropout = 0.3, .stream = 5}, {2, 19, 0}, 6),
        packed("with dropout, 64 wide", {.heads = 2, .dropout = 0.1, .stream = 6}, {3, 37, 0}, 64),
        packed("more samples than heads", {.heads = 2, .dropout = 0.2, .stream = 7}, {6, 16, 0}, 8),
        packed("more keys than a warp takes at once", {.heads = 2, .dropout = 0.1, .stream = 8}, {1, 300, 0},
               16),
        attention("keys with values", pair, {activation({2, 9, 32}), activation({2, 9, 64})}),
        attention("keys with values, d = 32", pair, {activation({1, 8, 8, 128}), activation({1, 8, 8, 256})}),
        attention("other tokens as keys", pair, {activation({2, 5, 12}), activation({2, 3, 4, 24})}),
        attention("separate inputs", apart,
                  {activation({2, 11, 10}), activation({2, 6, 10}), activation({2, 6, 10})}),
        attention("separate inputs with dropout",
                  {.heads = 1, .form = AttentionInputs::separate, .dropout = 0.5, .stream = 9},
                  {activation({2, 13, 7}), activation({2, 65, 7}), activation({2, 65, 7})}),
    };
    // The probabilities of a single key are all 1: queries and keys get no gradient.
    for (OpCase& one : cases) {
        if (one.name == "attention one token") one.zeros = Zeros::expected;
        // Half of the weights are dropped, and in bf16 the scores' own rounding is magnified by the
        // exponential.
        one.conditioning = 4;
    }
    cases.push_back({"positional embedding of tokens",
                     ops::PositionalEmbedding{},
                     {activation({3, 5, 7}), parameter({1, 5, 7})},
                     Exact::yes});
    cases.push_back({"positional embedding of a map with a class token",
                     ops::PositionalEmbedding{.skip = 1},
                     {activation({2, 9, 8, 33}), parameter({1, 73, 33})},
                     Exact::yes});
    return cases;
}

}  // namespace terrane::test
