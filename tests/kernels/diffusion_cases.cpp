#include "kernels/op_case.hpp"

namespace terrane::test {

namespace {

using Discrepancy = ops::KernelDiscrepancy;

CaseInput constant(Shape shape, Fill fill = Fill::standard) {
    return {Role::constant, shape, fill};
}
CaseInput keys(std::int64_t samples) {
    return {Role::keys, {samples}, Fill::half_keys};
}

OpCase discrepancy(const std::string& name, Discrepancy op, Shape map, Zeros zeros = Zeros::mistrusted) {
    op.loss_weight = 0.3;
    const Fill targets = op.parts == 4 ? Fill::quarters : Fill::one_hot;
    OpCase one{"kernel discrepancy " + name,
               op,
               {activation(map, Fill::positive), constant(map, targets),
                state({map.channels()}, Fill::class_weights)},
               Exact::no,
               zeros};
    one.conditioning = 10;  // a small difference of means of numbers around 1
    return one;
}

OpCase brier(const std::string& name, ops::VoidPixels void_pixels, Shape map, Fill targets) {
    return {"brier loss " + name,
            ops::BrierLoss{void_pixels, 0.7},
            {activation(map), constant(map, targets), state({map.channels()}, Fill::class_weights)}};
}

OpCase shares(const std::string& name, ops::ShareLoss op, Shape map, Fill targets = Fill::quarters) {
    op.loss_weight = 0.6;
    return {"share loss " + name,
            op,
            {activation(map, Fill::positive), constant(map, targets),
             state({map.channels()}, Fill::class_weights)},
            Exact::no,
            Zeros::expected};
}

OpCase linear_attention(const std::string& name, std::int64_t heads, Shape map, std::int64_t width) {
    return {"linear attention " + name,
            ops::LinearAttention{heads},
            {activation(map.with(3, 3 * heads * width))}};
}

OpCase encoding(const std::string& name, ops::HeightEncoding op, Shape map) {
    return {"height encoding " + name, op, {activation(map, Fill::positive)}};
}

}  // namespace

std::vector<OpCase> diffusion_cases() {
    using ops::VoidPixels;
    constexpr auto global = Discrepancy::Scope::global;
    constexpr auto sampled = Discrepancy::Targets::sampled;
    constexpr auto biased = Discrepancy::Estimator::biased;
    constexpr auto sphere = Discrepancy::Measure::sphere;
    return {
        {"channel add", ops::ChannelAdd{}, {activation({3, 4, 5, 7}), activation({3, 7})}},
        {"channel add for all samples", ops::ChannelAdd{}, {activation({2, 5, 3, 33}), activation({1, 33})}},
        {"channel add to a larger map",
         ops::ChannelAdd{},
         {activation({2, 37, 41, 70}), activation({1, 70})}},
        linear_attention("small", 2, {2, 3, 4, 0}, 5),
        linear_attention("of the published width", 4, {2, 5, 7, 0}, 32),
        linear_attention("one position", 1, {3, 1, 1, 0}, 4),
        linear_attention("of several blocks", 2, {1, 37, 29, 0}, 33),
        {"time embedding", ops::TimeEmbedding{32}, {state({1}, Fill::positive)}},
        {"time embedding of four", ops::TimeEmbedding{4}, {state({1}, Fill::positive)}},
        encoding("plain", {}, {2, 5, 7, 1}),
        encoding("shrunk", {.shrink = 4}, {2, 16, 14, 1}),
        encoding("replicated", {.shrink = 2, .border = ops::HeightEncoding::Border::replicate}, {1, 9, 8, 1}),
        {"height encoding in a given range",
         ops::HeightEncoding{.shrink = 2},
         {activation({4, 6, 8, 1}, Fill::positive), activation({2, 5, 7, 1}, Fill::positive)}},
        {"slope magnitude", ops::SlopeMagnitude{}, {activation({2, 5, 6, 2})}},
        {"slope magnitude falling",
         ops::SlopeMagnitude{ops::SlopeMagnitude::Counts::falling},
         {activation({2, 5, 6, 2})}},
        {"soft targets of the same size",
         ops::SoftTargets{6, 5, 5},
         {labels({2, 6, 5})},
         Exact::no,
         Zeros::expected},
        {"soft targets of a quarter",
         ops::SoftTargets{4, 3, 12},
         {labels({2, 16, 12})},
         Exact::no,
         Zeros::expected},
        {"soft targets, voids add nothing",
         ops::SoftTargets{4, 3, 6, VoidPixels::zero_vector},
         {labels({2, 8, 6})},
         Exact::no,
         Zeros::expected},
        {"diffuse", ops::Diffuse{}, {activation({2, 3, 5, 6}), state({1}, Fill::positive), keys(2)}},
        {"diffuse the state itself",
         ops::Diffuse{ops::Diffuse::Prior::state},
         {activation({2, 4, 3, 5}), state({1}, Fill::positive), keys(2)}},
        {"uniform state", ops::UniformState{5, 7, 3}, {keys(2)}},
        {"denoise", ops::Denoise{}, {activation({2, 3, 4, 6}), activation({2, 3, 4, 6})}},
        // Where few values are above the floor, the divisor is small.
        {"simplex projection",
         ops::SimplexProjection{},
         {activation({2, 4, 5, 6})},
         Exact::no,
         Zeros::expected,
         10},
        {"simplex projection with bounded factor",
         ops::SimplexProjection{.least_sum = 2.0},
         {activation({2, 4, 5, 6})},
         Exact::no,
         Zeros::expected},
        {"state blend",
         ops::StateBlend{},
         {activation({2, 3, 4, 6}, Fill::positive), activation({2, 3, 4, 6}, Fill::positive),
          state({1}, Fill::labels_all_ignored)}},
        {"state blend gated",
         ops::StateBlend{ops::StateBlend::Rule::gated, 0.5, 4},
         {activation({2, 3, 4, 6}, Fill::positive), activation({2, 3, 4, 6}, Fill::positive),
          state({1}, Fill::zero)}},
        {"state blend averaged",
         ops::StateBlend{ops::StateBlend::Rule::average, 0.25},
         {activation({2, 3, 4, 6}), activation({2, 3, 4, 6}), state({1}, Fill::zero)}},
        brier("masked", VoidPixels::masked, {2, 4, 5, 6}, Fill::quarters),
        brier("of one-hot targets", VoidPixels::masked, {2, 37, 45, 7}, Fill::one_hot),
        brier("counting voids", VoidPixels::zero_vector, {2, 4, 5, 3}, Fill::one_hot),
        discrepancy("of atoms", {}, {2, 4, 5, 6}),
        discrepancy("of quarters", {.parts = 4}, {2, 4, 5, 6}),
        discrepancy("of samples", {.targets = sampled}, {2, 4, 5, 6}),
        discrepancy("biased", {.estimator = biased, .bandwidth = 0.7}, {2, 3, 5, 4}),
        discrepancy("of the sphere", {.measure = sphere}, {2, 3, 5, 6}),
        discrepancy("counting voids", {.parts = 4, .void_pixels = VoidPixels::zero_vector}, {1, 6, 5, 5}),
        discrepancy("of a subset", {.max_samples = 100}, {2, 11, 13, 6}, Zeros::expected),
        discrepancy("of a subset, sampled", {.targets = sampled, .max_samples = 90}, {2, 11, 13, 6},
                    Zeros::expected),
        discrepancy("of all ranks", {.scope = global, .parts = 4}, {2, 4, 5, 6}),
        discrepancy("of each image", {.scope = Discrepancy::Scope::image, .parts = 4}, {3, 4, 5, 6}),
        discrepancy("of each image, a subset", {.scope = Discrepancy::Scope::image, .max_samples = 30},
                    {4, 7, 5, 6}, Zeros::expected),
        discrepancy(
            "of each image, sampled and biased",
            {.estimator = biased, .targets = sampled, .scope = Discrepancy::Scope::image, .max_samples = 20},
            {4, 7, 5, 3}, Zeros::expected),
        shares("cross-entropy", {}, {2, 4, 5, 6}),
        shares("cross-entropy of one-hot targets", {}, {3, 7, 9, 7}, Fill::one_hot),
        shares("cross-entropy counting voids", {.void_pixels = VoidPixels::zero_vector}, {2, 4, 5, 3}),
        shares("Dice", {.kind = ops::ShareLoss::Kind::dice}, {3, 4, 5, 6}),
        shares("Dice counting voids",
               {.kind = ops::ShareLoss::Kind::dice, .smooth = 0.5, .void_pixels = VoidPixels::zero_vector},
               {2, 5, 7, 4}),
        discrepancy("of all ranks, a subset", {.scope = global, .max_samples = 70}, {4, 7, 5, 6},
                    Zeros::expected),
        discrepancy("of all ranks, sampled", {.targets = sampled, .scope = global, .max_samples = 70},
                    {4, 7, 5, 6}, Zeros::expected),
        {"patches cut", ops::Patches{.edge = 4}, {activation({2, 8, 12, 3})}, Exact::yes},
        {"patches joined",
         ops::Patches{.direction = ops::Patches::Direction::join, .rows = 2, .columns = 3},
         {activation({12, 4, 5, 3})},
         Exact::yes},
    };
}

}  // namespace terrane::test
