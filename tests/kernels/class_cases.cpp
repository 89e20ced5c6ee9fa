#include "kernels/op_case.hpp"

namespace terrane::test {

namespace {

template <typename Loss>
OpCase loss(const std::string& name, Loss op, Shape logits, std::int64_t height, std::int64_t width,
            Fill weights = Fill::class_weights, Fill label_fill = Fill::labels) {
    return {name,
            op,
            {activation(logits), labels({logits.batch(), height, width}, label_fill),
             state({logits.channels()}, weights)}};
}

OpCase classify(const std::string& name, Shape logits, std::int64_t height, std::int64_t width,
                ops::Corners corners = ops::Corners::half_pixel) {
    return {name,
            ops::Classify{corners},
            {activation(logits),
             labels({logits.batch(), height, width}),
             {Role::confusion, {logits.channels(), logits.channels()}}},
            Exact::yes,
            Zeros::expected};
}

OpCase distance_entropy(const std::string& name, ops::DistanceEntropy op, Shape logits, std::int64_t height,
                        std::int64_t width, Fill distances = Fill::distances) {
    return {"distance entropy " + name,
            op,
            {activation(logits), labels({logits.batch(), height, width}, distances)}};
}

OpCase rectification(const std::string& name, ops::LocalizationRectification op, Shape features,
                     std::int64_t width, std::int64_t map_height, std::int64_t map_width,
                     Fill map = Fill::labels) {
    const Shape tokens = features.with(3, width);
    OpCase one{"rectification " + name,
               op,
               {activation(features), activation(tokens), activation(tokens), parameter({1}, Fill::scale),
                labels({features.batch(), map_height, map_width}, map)}};
    one.conditioning = 4;  // a query's gradient is what cancellation leaves of many terms
    return one;
}

/// With Denominator::samples.
template <typename Loss>
Loss by_samples(Loss op) {
    op.denominator = ops::Denominator::samples;
    return op;
}

}  // namespace

std::vector<OpCase> class_cases() {
    using ops::Boundary;
    using ops::Corners;
    using ops::CrossEntropy;
    using ops::Dice;
    using ops::Focal;
    using ops::Lovasz;
    using ops::Tversky;
    constexpr auto image = ops::ScoreOver::image;
    std::vector<OpCase> cases{
        loss("cross-entropy", CrossEntropy{}, {2, 4, 5, 6}, 4, 5),
        loss("cross-entropy upsampled twice", CrossEntropy{}, {2, 3, 4, 5}, 6, 8),
        loss("cross-entropy upsampled four times", CrossEntropy{.loss_weight = 0.4}, {1, 4, 3, 7}, 16, 12),
        loss("cross-entropy upsampled unevenly", CrossEntropy{}, {1, 3, 3, 16}, 7, 5),
        loss("cross-entropy upsampled align corners", CrossEntropy{.corners = Corners::align_corners},
             {2, 3, 4, 5}, 7, 9),
        loss("cross-entropy downsampled", CrossEntropy{}, {1, 7, 9, 3}, 4, 4),
        loss("cross-entropy smoothed", CrossEntropy{.label_smoothing = 0.1}, {2, 3, 4, 5}, 6, 8),
        loss("cross-entropy smoothed, a class of weight 0", CrossEntropy{.label_smoothing = 0.2},
             {1, 4, 4, 4}, 4, 4, Fill::class_weights_with_zero),
        loss("cross-entropy, a class of weight 0", CrossEntropy{}, {2, 3, 4, 3}, 6, 8,
             Fill::class_weights_with_zero),
        loss("cross-entropy of one class", CrossEntropy{.loss_weight = 2}, {1, 3, 3, 1}, 3, 3),
        loss("cross-entropy from one pixel", CrossEntropy{}, {2, 1, 1, 9}, 3, 4),
        loss("cross-entropy of many classes", CrossEntropy{}, {1, 2, 3, 67}, 4, 6),
        loss("cross-entropy of a larger map", CrossEntropy{.label_smoothing = 0.05}, {2, 16, 17, 8}, 64, 68),
        loss("cross-entropy with all ignored", CrossEntropy{.label_smoothing = 0.1}, {1, 3, 3, 4}, 6, 6,
             Fill::class_weights, Fill::labels_all_ignored),
        loss("cross-entropy over all pixels", CrossEntropy{.denominator = ops::Denominator::all},
             {2, 3, 4, 5}, 6, 8),
        loss("cross-entropy upsampled eight times", CrossEntropy{}, {1, 9, 10, 7}, 72, 80),
        loss("cross-entropy of rows longer than a team", CrossEntropy{.label_smoothing = 0.1}, {2, 3, 67, 6},
             5, 536),
        loss("cross-entropy from few columns to many", CrossEntropy{}, {1, 2, 2, 3}, 3, 700),
        loss("cross-entropy of many classes from one pixel to many", CrossEntropy{}, {1, 1, 1, 19}, 3, 530),
        loss("focal upsampled eight times, 17 classes", Focal{}, {1, 4, 40, 17}, 32, 320),
        loss("Dice upsampled eight times", Dice{}, {1, 4, 40, 9}, 32, 320),
        loss("boundary of rows longer than a team", Boundary{.corners = Corners::align_corners},
             {1, 3, 75, 3}, 4, 300),
        loss("cross-entropy of a long row downsampled", CrossEntropy{}, {1, 3, 600, 4}, 2, 290),
        loss("Dice over all pixels", Dice{.denominator = ops::Denominator::all}, {2, 3, 4, 5}, 6, 8),
        loss("Dice", Dice{}, {2, 4, 5, 6}, 4, 5),
        loss("Dice upsampled", Dice{.smooth = 0.5, .loss_weight = 0.7}, {2, 3, 4, 5}, 6, 8),
        loss("Dice align corners", Dice{.corners = Corners::align_corners}, {2, 3, 4, 3}, 7, 9),
        loss("Dice with absent classes", Dice{}, {1, 2, 2, 40}, 4, 4),
        loss("Dice, a class of weight 0", Dice{}, {2, 3, 3, 4}, 6, 6, Fill::class_weights_with_zero),
        loss("Dice of a larger map", Dice{}, {2, 16, 17, 8}, 64, 68),
        loss("Dice with all ignored", Dice{}, {1, 3, 3, 4}, 6, 6, Fill::class_weights,
             Fill::labels_all_ignored),
        loss("focal over all pixels", Focal{.denominator = ops::Denominator::all}, {2, 3, 4, 5}, 6, 8),
        loss("Lovász over all pixels", Lovasz{.denominator = ops::Denominator::all}, {2, 3, 4, 5}, 6, 8),
        loss("boundary over all pixels", Boundary{.denominator = ops::Denominator::all}, {2, 3, 4, 5}, 6, 8),
        loss("Tversky over all pixels, by image",
             Tversky{.over = image, .denominator = ops::Denominator::all}, {2, 3, 4, 5}, 6, 8),
        loss("Dice over images", Dice{.over = image, .loss_weight = 0.5}, {2, 3, 4, 5}, 6, 8),
        loss("Dice over one image", Dice{.smooth = 0.5, .over = image}, {1, 4, 5, 3}, 4, 5),
        loss("Tversky", Tversky{.alpha = 0.3, .beta = 0.7}, {2, 3, 4, 5}, 6, 8),
        loss("focal Tversky", Tversky{.alpha = 0.7, .beta = 0.3, .exponent = 1.5, .smooth = 0.25},
             {2, 4, 5, 6}, 4, 5),
        loss("focal Tversky over images",
             Tversky{.alpha = 0.4, .beta = 0.8, .exponent = 2, .over = image, .loss_weight = 3}, {2, 3, 4, 5},
             6, 8),
        loss("Tversky with absent classes", Tversky{}, {1, 2, 2, 40}, 4, 4),
        loss("Tversky with all ignored", Tversky{.over = image}, {1, 3, 3, 4}, 6, 6, Fill::class_weights,
             Fill::labels_all_ignored),
        loss("focal", Focal{}, {2, 4, 5, 6}, 4, 5),
        loss("focal upsampled", Focal{.gamma = 1.5, .loss_weight = 0.3}, {2, 3, 4, 5}, 6, 8),
        loss("focal with a root", Focal{.gamma = 0.5}, {1, 3, 3, 4}, 6, 6),
        loss("focal with exponent 0 is cross-entropy", Focal{.gamma = 0}, {1, 3, 4, 3}, 5, 7),
        loss("focal align corners, a class of weight 0", Focal{.corners = Corners::align_corners},
             {2, 3, 4, 3}, 7, 9, Fill::class_weights_with_zero),
        loss("focal of a larger map", Focal{}, {2, 16, 17, 8}, 64, 68),
        loss("focal with all ignored", Focal{}, {1, 3, 3, 4}, 6, 6, Fill::class_weights,
             Fill::labels_all_ignored),
        loss("Lovász", Lovasz{}, {2, 4, 5, 6}, 4, 5),
        loss("Lovász upsampled", Lovasz{.loss_weight = 0.5}, {2, 3, 4, 5}, 6, 8),
        loss("Lovász over the batch", Lovasz{.over = ops::ScoreOver::batch}, {3, 3, 4, 3}, 5, 6),
        loss("Lovász align corners", Lovasz{.corners = Corners::align_corners}, {1, 3, 4, 3}, 7, 9),
        loss("Lovász with absent classes", Lovasz{}, {1, 2, 2, 40}, 4, 4),
        loss("Lovász with all ignored", Lovasz{}, {1, 3, 3, 4}, 6, 6, Fill::class_weights,
             Fill::labels_all_ignored),
        loss("boundary", Boundary{}, {2, 4, 5, 3}, 4, 5),
        loss("boundary upsampled", Boundary{.loss_weight = 0.1}, {2, 3, 4, 4}, 6, 8),
        loss("boundary align corners, a class of weight 0", Boundary{.corners = Corners::align_corners},
             {2, 3, 4, 3}, 7, 9, Fill::class_weights_with_zero),
        loss("boundary of a larger map", Boundary{}, {2, 16, 17, 8}, 64, 68),
        loss("boundary with all ignored", Boundary{}, {1, 3, 3, 4}, 6, 6, Fill::class_weights,
             Fill::labels_all_ignored),
        loss("cross-entropy by samples", by_samples(CrossEntropy{.label_smoothing = 0.1, .loss_weight = 0.5}),
             {2, 3, 4, 5}, 6, 8),
        loss("focal by samples", by_samples(Focal{}), {2, 3, 4, 5}, 6, 8),
        loss("boundary by samples", by_samples(Boundary{.loss_weight = 0.2}), {2, 3, 4, 4}, 6, 8),
        loss("Dice by samples", by_samples(Dice{}), {2, 3, 4, 5}, 6, 8),
        loss("Dice over images by samples", by_samples(Dice{.over = image}), {2, 3, 4, 5}, 6, 8),
        loss("Lovász by samples", by_samples(Lovasz{}), {2, 3, 4, 5}, 6, 8),
        loss("cross-entropy by samples with all ignored", by_samples(CrossEntropy{}), {2, 3, 3, 4}, 6, 6,
             Fill::class_weights, Fill::labels_all_ignored),
        distance_entropy("at the map's resolution", {}, {2, 4, 5, 6}, 4, 5),
        distance_entropy("upsampled", {.loss_weight = 0.3}, {2, 3, 4, 5}, 6, 8),
        distance_entropy("align corners", {.corners = Corners::align_corners}, {2, 3, 4, 3}, 7, 9),
        distance_entropy("of a larger map", {}, {2, 16, 17, 8}, 64, 68),
        distance_entropy("of zeros", {}, {2, 3, 3, 4}, 6, 6, Fill::zero),
        rectification("of features", {}, {2, 3, 5, 6}, 4, 9, 13),
        rectification("with a background", {.background = 0, .loss_weight = 0.3}, {2, 4, 3, 3}, 5, 4, 3),
        rectification("of blocks that end early", {.background = 1}, {1, 9, 13, 4}, 7, 33, 49),
        rectification("of equal blocks", {}, {2, 12, 13, 9}, 3, 45, 50),
        rectification("of one token", {}, {2, 1, 1, 5}, 3, 4, 4),
        rectification("of background alone", {}, {2, 3, 4, 5}, 3, 6, 8, Fill::labels_all_ignored),
        classify("classify", {2, 5, 7, 6}, 5, 7),
        classify("classify upsampled twice", {2, 3, 4, 5}, 6, 8),
        classify("classify upsampled four times", {1, 5, 4, 17}, 20, 16),
        classify("classify a larger map", {2, 16, 17, 8}, 64, 68),
        classify("classify align corners", {1, 3, 5, 4}, 5, 9, Corners::align_corners),
        classify("classify one class", {1, 2, 3, 1}, 4, 6),
        {"softmax", ops::Softmax{5, 7}, {activation({2, 5, 7, 6})}},
        {"softmax upsampled", ops::Softmax{7, 9}, {activation({2, 3, 4, 5})}},
        {"softmax align corners", ops::Softmax{7, 9, Corners::align_corners}, {activation({1, 3, 4, 33})}},
        {"softmax of a larger map", ops::Softmax{64, 68}, {activation({2, 16, 17, 8})}},
        {"softmax downsampled", ops::Softmax{3, 3}, {activation({1, 8, 5, 4})}},
    };
    for (OpCase& one : cases) {
        if (one.name == "cross-entropy of one class" || one.inputs.size() > 1) {
            const Fill map =
                one.inputs.back().role == Role::labels ? one.inputs.back().fill : one.inputs[1].fill;
            const bool ignored = map == Fill::labels_all_ignored || map == Fill::zero;
            // With a single token every similarity is 1: queries and keys get no gradient.
            const bool alone = one.name == "rectification of one token";
            if (ignored || alone || one.classes() == 1) one.zeros = Zeros::expected;
        }
    }
    return cases;
}

}  // namespace terrane::test
