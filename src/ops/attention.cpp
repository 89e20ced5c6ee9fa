#include "ops/attention.hpp"

#include <cmath>

namespace terrane::ops {

namespace {

std::int64_t tokens_of(const Shape& shape) {
    return shape.pixels() / shape.batch();
}

/// Inputs of each form, and the multiple of C that each of them has as channels.
std::vector<std::int64_t> widths_of(AttentionInputs form) {
    switch (form) {
        case AttentionInputs::packed:
            return {3};
        case AttentionInputs::keys_with_values:
            return {1, 2};
        case AttentionInputs::separate:
            return {1, 1, 1};
    }
    return {};
}

}  // namespace

AttentionGeometry::AttentionGeometry(const Attention& op, std::span<const TensorSpec> inputs) {
    const std::vector<std::int64_t> widths = widths_of(op.form);
    const Shape& first = inputs[0].shape;
    const Shape& last = inputs.back().shape;
    const std::int64_t channels = first.channels() / widths[0];
    batch = first.batch();
    heads = op.heads;
    width = channels / heads;
    queries = tokens_of(first);
    keys = tokens_of(last);
    scale = op.scale != 0 ? op.scale : 1 / std::sqrt(static_cast<double>(width));
    const std::size_t key_input = op.form == AttentionInputs::packed ? 0 : 1;
    const std::size_t value_input = op.form == AttentionInputs::separate ? 2 : key_input;
    const std::int64_t before_key = key_input == 0 ? channels : 0;
    query = {0, 0, first.channels()};
    key = {key_input, before_key, inputs[key_input].shape.channels()};
    value = {value_input, value_input == key_input ? before_key + channels : 0, last.channels()};
}

std::vector<TensorSpec> Attention::outputs(std::span<const TensorSpec> inputs) const {
    const std::vector<std::int64_t> widths = widths_of(form);
    TERRANE_ASSERT(inputs.size() == widths.size(), "attention in this form takes {} inputs, not {}",
                   widths.size(), inputs.size());
    const Shape& first = inputs[0].shape;
    TERRANE_ASSERT(first.rank() >= 3 && heads > 0 && first.channels() % (widths[0] * heads) == 0,
                   "{} can't be cut into {} heads", first.text(), heads);
    TERRANE_ASSERT(dropout >= 0 && dropout < 1, "dropout with probability {}", dropout);
    const std::int64_t channels = first.channels() / widths[0];
    for (std::size_t i = 1; i < inputs.size(); ++i) {
        const Shape& shape = inputs[i].shape;
        TERRANE_ASSERT(shape.rank() >= 3 && shape.batch() == first.batch() &&
                           shape.channels() == widths[i] * channels && inputs[i].dtype == inputs[0].dtype,
                       "input {} is {} beside {}", i, shape.text(), first.text());
        TERRANE_ASSERT(tokens_of(shape) == tokens_of(inputs[1].shape), "keys {} and values {}",
                       inputs[1].shape.text(), shape.text());
    }
    return {{inputs[0].dtype, first.with(first.rank() - 1, channels)}};
}

Cost Attention::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    const double products = 4.0 * static_cast<double>(results[0].shape.elements());
    return {products * static_cast<double>(tokens_of(inputs.back().shape)),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Attention::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0b1};
}

}  // namespace terrane::ops
