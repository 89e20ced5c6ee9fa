#include "nets/diffusion_graphs.hpp"

#include <algorithm>

#include "nets/early_fusion.hpp"

namespace terrane::nets {

namespace {

using graph::GraphBuilder;
using graph::ValueId;

ops::VoidPixels void_pixels(const config::Diffusion& diffusion) {
    return diffusion.void_pixels == "mask" ? ops::VoidPixels::masked : ops::VoidPixels::zero_vector;
}

ValueId resized(GraphBuilder& build, const std::string& name, ValueId x, const DiffusionScale& scale) {
    const Shape& from = build.shape_of(x);
    if (from.height() == scale.height && from.width() == scale.width) return x;
    return build.append(name, ops::Resize{.height = scale.height, .width = scale.width}, {x});
}

ValueId cut(GraphBuilder& build, const std::string& name, ValueId x, const DiffusionScale& scale) {
    if (scale.patches() == 1) return x;
    return build.append(name, ops::Patches{.edge = scale.edge}, {x});
}

ops::KernelDiscrepancy discrepancy_of(const config::Diffusion& diffusion, const DiffusionScale& scale,
                                      std::int64_t classes) {
    using Op = ops::KernelDiscrepancy;
    Op op;
    op.measure = diffusion.pk_measure == "gauss" ? Op::Measure::gauss : Op::Measure::sphere;
    op.estimator = diffusion.pk_estimator == "unbiased" ? Op::Estimator::unbiased : Op::Estimator::biased;
    op.scope = diffusion.pk_scope == "rank"    ? Op::Scope::rank
               : diffusion.pk_scope == "image" ? Op::Scope::image
                                               : Op::Scope::global;
    op.bandwidth = diffusion.pk_bandwidth;
    op.max_samples = diffusion.pk_samples;
    op.void_pixels = void_pixels(diffusion);
    op.loss_weight = diffusion.pk_weight;
    // Halving and quartering read four labels per pixel; other scales give arbitrary shares.
    const bool quarters = scale.reduction == 2 || scale.reduction == 4;
    op.parts = scale.reduction == 1 ? 1 : 4;
    const bool few = (scale.reduction == 1 || quarters) && op.atoms(classes) <= Op::most_atoms;
    op.targets = diffusion.pk_targets == "atoms" && few && op.void_pixels == ops::VoidPixels::masked
                     ? Op::Targets::atoms
                     : Op::Targets::sampled;
    return op;
}

}  // namespace

std::string scaled(const std::string& name, std::size_t scale) {
    return name + "." + std::to_string(scale);
}

std::int64_t timesteps_of(const config::Diffusion& diffusion) {
    if (diffusion.timesteps > 0) return diffusion.timesteps;
    return diffusion.preset == "fast" ? 4 : 25;
}

std::vector<float> diffusion_times(const config::Diffusion& diffusion) {
    const std::int64_t count = timesteps_of(diffusion) * diffusion.scales;
    std::vector<float> times;
    for (std::int64_t i = 0; i < count; ++i) {
        times.push_back(static_cast<float>(1 - static_cast<double>(i) / static_cast<double>(count)));
    }
    return times;
}

std::vector<DiffusionScale> diffusion_scales(const config::Diffusion& diffusion, std::int64_t height,
                                             std::int64_t width, std::int64_t crop) {
    std::vector<DiffusionScale> scales;
    for (std::int64_t l = 0; l < diffusion.scales; ++l) {
        DiffusionScale scale;
        scale.reduction = std::int64_t{1} << (diffusion.scales - 1 - l);
        scale.height = height / scale.reduction;
        scale.width = width / scale.reduction;
        // The largest square that divides the map, no larger than the limit and than what training saw.
        const std::int64_t limit =
            std::min({diffusion.max_patch, crop / scale.reduction, scale.height, scale.width});
        constexpr std::int64_t unit = std::int64_t{1} << pkdiff_levels;
        for (std::int64_t edge = limit / unit * unit; edge > 0 && scale.edge == 0; edge -= unit) {
            if (scale.height % edge == 0 && scale.width % edge == 0) scale.edge = edge;
        }
        if (scale.edge == 0 || height % scale.reduction != 0 || width % scale.reduction != 0) {
            throw Error(
                ExitCode::config_invalid, 542,
                fmt::format("{} x {} pixels can't be halved {} times into maps that are multiples of {}.",
                            width, height, diffusion.scales - 1, unit),
                fmt::format(
                    "Choose a crop and tiles that are multiples of {}, or fewer model.diffusion.scales.",
                    unit << (diffusion.scales - 1)));
        }
        scales.push_back(scale);
    }
    return scales;
}

bool DiffusionGraphs::blends(std::size_t scale) const {
    if (model.diffusion.update == "gated") return true;
    return model.diffusion.update == "ema" && scale + 1 == scales.size();
}

TensorSpec DiffusionGraphs::state(std::size_t scale) const {
    return {ops::real_type(compute),
            Shape{inputs.batch, scales[scale].height, scales[scale].width, inputs.classes}};
}

graph::Graph DiffusionGraphs::prepare() const {
    GraphBuilder build(device::Mode::inference, compute);
    NetworkValues values;
    for (const ModalityInput& modality : inputs.modalities) {
        const Shape shape{inputs.batch, inputs.height / modality.scale, inputs.width / modality.scale,
                          modality.bands};
        values.modalities.push_back(build.input(modality.name, {compute, shape}));
    }
    const auto count = static_cast<std::int64_t>(inputs.modalities.size());
    values.presence = build.input("presence", {ops::real_type(compute), Shape{inputs.batch, 1, 1, count}});
    const ValueId image = early_fusion(build, inputs, values);
    std::optional<ValueId> labels;
    if (task == Task::train) {
        labels = build.input("labels", {DType::u8, Shape{inputs.batch, inputs.height, inputs.width}});
    }
    const std::optional<std::int64_t> band = height_band_of(model.diffusion, inputs);
    std::optional<ValueId> whole;
    if (band && model.diffusion.dsm_norm == "tile") {
        whole = build.append("whole_height", ops::Slice{*band, *band + 1}, {image});
    }
    for (std::size_t l = 0; l < scales.size(); ++l) {
        auto scope = build.scope(scaled("scale", l));
        const ValueId map = cut(build, "image_patches", resized(build, "image", image, scales[l]), scales[l]);
        build.output(scaled("image", l), map);
        if (task == Task::train) {
            const ValueId target = build.append("target",
                                                ops::SoftTargets{.height = scales[l].height,
                                                                 .width = scales[l].width,
                                                                 .classes = inputs.classes,
                                                                 .void_pixels = void_pixels(model.diffusion),
                                                                 .dtype = ops::real_type(compute)},
                                                {*labels});
            build.output(scaled("target", l), cut(build, "target_patches", target, scales[l]));
        }
        if (!band) continue;
        const ValueId height = build.append("height", ops::Slice{*band, *band + 1}, {map});
        const HeightGuides guides = height_guides(build, model.diffusion, height, whole);
        for (std::size_t level = 0; level < guides.size(); ++level) {
            build.output(scaled(scaled("encoding", l), level), guides[level].encoding);
            if (guides[level].slope) build.output(scaled(scaled("slope", l), level), *guides[level].slope);
        }
    }
    return build.finish();
}

graph::Graph DiffusionGraphs::begin() const {
    GraphBuilder build(device::Mode::inference, compute);
    const ValueId keys = build.input("keys", {DType::i64, Shape{inputs.batch}});
    build.output("state", build.append("uniform",
                                       ops::UniformState{.height = inputs.height,
                                                         .width = inputs.width,
                                                         .channels = inputs.classes,
                                                         .dtype = ops::real_type(compute)},
                                       {keys}));
    return build.finish();
}

graph::Graph DiffusionGraphs::advance(std::size_t scale) const {
    GraphBuilder build(device::Mode::inference, compute);
    const std::size_t before = scale == 0 ? scales.size() - 1 : scale - 1;
    const ValueId from = build.input("state", state(before));
    const ValueId keys = build.input("keys", {DType::i64, Shape{inputs.batch}});
    const ValueId time = build.input("time", {ops::real_type(compute), Shape{1}});
    const ValueId map = resized(build, "resize", from, scales[scale]);
    const ValueId noisy =
        build.append("noise",
                     ops::Diffuse{.prior = model.diffusion.state_softmax ? ops::Diffuse::Prior::softmax
                                                                         : ops::Diffuse::Prior::state,
                                  .dtype = compute},
                     {map, time, keys});
    build.output("noisy", cut(build, "noisy_patches", noisy, scales[scale]));
    if (blends(scale) && !blends_over_time()) {
        build.output("resized", cut(build, "resized_patches", map, scales[scale]));
    }
    return build.finish();
}

graph::Graph DiffusionGraphs::step(std::size_t index) const {
    const config::Diffusion& diffusion = model.diffusion;
    const DiffusionScale& scale = scales[index];
    GraphBuilder build(task == Task::train ? device::Mode::training : device::Mode::inference, compute);
    const DType real = ops::real_type(compute);
    const auto map_of = [&](std::int64_t channels) {
        return Shape{inputs.batch, scale.edge, scale.edge, channels};
    };
    std::int64_t bands = 0;
    for (const ModalityInput& modality : inputs.modalities) bands += modality.bands;

    PkdiffInputs network;
    network.noisy = build.input("noisy", {compute, map_of(inputs.classes)});
    network.image = build.input("image", {compute, map_of(bands)});
    network.time = build.input("time", {real, Shape{1}});
    if (guided()) {
        network.height_band = *height_band_of(diffusion, inputs);
        network.guides.emplace();
        for (int level = 0; level < pkdiff_levels; ++level) {
            const std::int64_t edge = scale.edge >> level;
            const std::int64_t tokens = edge / cadef_shrink(level, edge, edge);
            HeightGuide& guide = (*network.guides)[static_cast<std::size_t>(level)];
            const auto place = static_cast<std::size_t>(level);
            guide.encoding = build.input(
                scaled("encoding", place),
                {compute, Shape{inputs.batch, tokens, tokens, ops::HeightEncoding::position_channels + 3}});
            if (level + 1 == pkdiff_levels) continue;
            guide.slope = build.input(scaled("slope", place), {compute, Shape{inputs.batch, edge, edge, 1}});
        }
    }
    const ValueId answer = pkdiff_network(build, diffusion, inputs.classes, network);
    const ValueId estimate = build.append("estimate", ops::Denoise{}, {network.noisy, answer});
    const ValueId shares =
        build.append("shares", ops::SimplexProjection{.least_sum = diffusion.least_sum}, {estimate});
    if (task == Task::train) {
        const ValueId target = build.input("target", {real, map_of(inputs.classes)});
        const ValueId weights =
            build.state("loss.class_weights", {real, Shape{inputs.classes}}, 1, graph::Saved::no);
        auto scope = build.scope("loss");
        build.loss(build.append("residual", ops::BrierLoss{.void_pixels = void_pixels(diffusion)},
                                {estimate, target, weights}));
        if (diffusion.pk_weight > 0) {
            build.loss(build.append("projection_kernel", discrepancy_of(diffusion, scale, inputs.classes),
                                    {shares, target, weights}));
        }
        const auto share_loss = [&](const char* name, ops::ShareLoss::Kind kind, double weight) {
            if (weight == 0) return;
            build.loss(build.append(
                name,
                ops::ShareLoss{.kind = kind, .void_pixels = void_pixels(diffusion), .loss_weight = weight},
                {shares, target, weights}));
        };
        share_loss("cross_entropy", ops::ShareLoss::Kind::cross_entropy, diffusion.ce_weight);
        share_loss("dice", ops::ShareLoss::Kind::dice, diffusion.dice_weight);
    }
    // The published evaluation goes on with the raw estimate, though training saw shares.
    const bool raw = task != Task::train && diffusion.state == "raw";
    ValueId next = raw ? estimate : shares;
    if (blends(index)) {
        const ValueId previous = build.input("previous", {real, map_of(inputs.classes)});
        const ValueId begins = build.input("begins", {real, Shape{1}});
        const bool gated = diffusion.update == "gated";
        next = build.append(
            "blend",
            ops::StateBlend{.rule = gated ? ops::StateBlend::Rule::gated : ops::StateBlend::Rule::average,
                            .gain = 0.5,
                            .sharpness = static_cast<double>(std::int64_t{2} << index)},
            {previous, next, begins});
    }
    build.output("state", next);
    return build.finish();
}

graph::Graph DiffusionGraphs::join(std::size_t index) const {
    const DiffusionScale& scale = scales[index];
    GraphBuilder build(device::Mode::inference, compute);
    const ValueId patches = build.input(
        "patches", {ops::real_type(compute),
                    Shape{inputs.batch * scale.patches(), scale.edge, scale.edge, inputs.classes}});
    build.output("state", build.append("join",
                                       ops::Patches{.direction = ops::Patches::Direction::join,
                                                    .rows = scale.rows(),
                                                    .columns = scale.columns()},
                                       {patches}));
    return build.finish();
}

graph::Graph DiffusionGraphs::score() const {
    GraphBuilder build(device::Mode::inference, compute);
    const DType real = ops::real_type(compute);
    const ValueId state_input = build.input("state", state(scales.size() - 1));
    const ValueId labels =
        build.input("labels", {DType::u8, Shape{inputs.batch, inputs.height, inputs.width}});
    const ValueId weights =
        build.state("loss.class_weights", {real, Shape{inputs.classes}}, 1, graph::Saved::no);
    const ValueId target = build.append(
        "target",
        ops::SoftTargets{
            .height = inputs.height, .width = inputs.width, .classes = inputs.classes, .dtype = real},
        {labels});
    build.loss(build.append("loss.residual", ops::BrierLoss{}, {state_input, target, weights}));
    const TensorSpec matrix{DType::i64, Shape{inputs.classes, inputs.classes}};
    const ValueId confusion = build.state("evaluation.confusion", matrix, 0, graph::Saved::no);
    build.output("classes", build.append("classes", ops::Classify{}, {state_input, labels, confusion}));
    return build.finish();
}

}  // namespace terrane::nets
