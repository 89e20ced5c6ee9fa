#include "nets/network.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "config/weak_maps.hpp"
#include "graph/freeze.hpp"
#include "nets/deeplabv3.hpp"
#include "nets/duet.hpp"
#include "nets/pkdiff.hpp"
#include "nets/pspnet.hpp"
#include "nets/rectification.hpp"
#include "nets/res50_aspp_lorm.hpp"
#include "nets/setr.hpp"

namespace terrane::nets {

namespace {

using graph::GraphBuilder;
using graph::ValueId;

/// A network and what it takes for the values that the configuration leaves to it.
struct Network {
    std::string_view name;
    NetworkHeads (*body)(GraphBuilder&, const config::Model&, const NetworkInputs&, const NetworkValues&);
    std::string_view encoder;
    std::int64_t output_stride;
    std::string_view norm;
    double transformer_dropout = 0;
};

constexpr std::array networks{
    Network{"duet", duet, "resnet18", 16, "batch"},
    Network{"pspnet", pspnet, "resnet50", 8, "sync_batch"},
    Network{"deeplabv3", deeplabv3, "resnet50", 8, "sync_batch"},
    Network{"res50_aspp_lorm", res50_aspp_lorm, "resnet50", 8, "batch"},
    Network{"pkdiff", pkdiff, "resnet18", 16, "group"},
    Network{"setr_light", setr_light, "vit", 16, "batch", 0.1},
    Network{"setr_mla", setr_mla, "vit", 16, "sync_batch"},
};

/// Prefixes of everything that belongs to auxiliary heads and layers of loss terms.
constexpr std::array<std::string_view, 2> training_only{"auxiliary_head.", "layer_camatt."};

const Network& network_called(const std::string& name) {
    const auto* const found = std::find_if(networks.begin(), networks.end(),
                                           [&](const Network& network) { return network.name == name; });
    if (found != networks.end()) return *found;
    throw Error(ExitCode::config_invalid, 542, fmt::format("model.name = \"{}\" is no network.", name),
                fmt::format("Use one of {}.", fmt::join(network_names(), ", ")));
}

/// A term of the loss and the op that computes it.
struct LossTermKind {
    std::string_view name;
    ops::Op (*op)(const config::Loss&, const config::LossTerm&, ops::Corners, double weight);
};

ops::Denominator denominator(const config::Loss& loss) {
    if (config::looks_at_several_maps(loss)) return ops::Denominator::samples;
    return loss.normalise == "all" ? ops::Denominator::all : ops::Denominator::valid;
}

ops::ScoreOver score_over(const config::LossTerm& term, ops::ScoreOver automatic) {
    if (term.over == "batch") return ops::ScoreOver::batch;
    if (term.over == "image") return ops::ScoreOver::image;
    return automatic;
}

ops::Op cross_entropy(const config::Loss& loss, const config::LossTerm& term, ops::Corners corners,
                      double weight) {
    return ops::CrossEntropy{
        .corners = corners,
        .label_smoothing = term.label_smoothing >= 0 ? term.label_smoothing : loss.label_smoothing,
        .loss_weight = weight,
        .denominator = denominator(loss)};
}
ops::Op focal(const config::Loss& loss, const config::LossTerm& term, ops::Corners corners, double weight) {
    return ops::Focal{
        .corners = corners, .gamma = term.gamma, .loss_weight = weight, .denominator = denominator(loss)};
}
ops::Op dice(const config::Loss& loss, const config::LossTerm& term, ops::Corners corners, double weight) {
    return ops::Dice{.corners = corners,
                     .smooth = term.smooth,
                     .over = score_over(term, ops::ScoreOver::batch),
                     .loss_weight = weight,
                     .denominator = denominator(loss)};
}
ops::Op tversky(const config::Loss& loss, const config::LossTerm& term, ops::Corners corners, double weight) {
    return ops::Tversky{.corners = corners,
                        .alpha = term.alpha,
                        .beta = term.beta,
                        .exponent = term.exponent,
                        .smooth = term.smooth,
                        .over = score_over(term, ops::ScoreOver::batch),
                        .loss_weight = weight,
                        .denominator = denominator(loss)};
}
ops::Op lovasz(const config::Loss& loss, const config::LossTerm& term, ops::Corners corners, double weight) {
    return ops::Lovasz{.corners = corners,
                       .over = score_over(term, ops::ScoreOver::image),
                       .loss_weight = weight,
                       .denominator = denominator(loss)};
}
ops::Op boundary(const config::Loss& loss, const config::LossTerm&, ops::Corners corners, double weight) {
    return ops::Boundary{.corners = corners, .loss_weight = weight, .denominator = denominator(loss)};
}

ops::Op distance_entropy(const config::Loss&, const config::LossTerm&, ops::Corners corners, double weight) {
    return ops::DistanceEntropy{.corners = corners, .loss_weight = weight};
}

constexpr std::array loss_terms{
    LossTermKind{"cross_entropy", cross_entropy},
    LossTermKind{"focal", focal},
    LossTermKind{"dice", dice},
    LossTermKind{"tversky", tversky},
    LossTermKind{"lovasz", lovasz},
    LossTermKind{"boundary", boundary},
    LossTermKind{"distance_entropy", distance_entropy},
};

const LossTermKind& loss_term_called(const std::string& name) {
    std::vector<std::string_view> known;
    for (const LossTermKind& kind : loss_terms) {
        if (kind.name == name) return kind;
        known.push_back(kind.name);
    }
    throw Error(ExitCode::config_invalid, 543, fmt::format("loss term '{}' is unknown.", name),
                fmt::format("Use one of {}.", fmt::join(known, ", ")));
}

/// A term over features, not over logits.
bool is_rectification(const config::LossTerm& term) {
    return term.name == "rectification";
}

/// Under which name a term's node stands: that of the term, with the map if it is not that of the labels.
std::string node_name(const config::LossTerm& term) {
    return term.target == "label" ? term.name : term.name + "_" + term.target;
}

/// What is scored is compared with labels, so that is all that the loss of an evaluation looks at, too.
config::Loss loss_over_labels(const config::Loss& loss) {
    config::Loss result = loss;
    std::erase_if(result.terms, [](const config::LossTerm& term) {
        return term.target != "label" || is_rectification(term);
    });
    if (result.terms.empty()) result.terms.emplace_back();
    return result;
}

/// Builds the losses of a network's heads.
class LossBuilder {
  public:
    LossBuilder(GraphBuilder& build, const config::Loss& loss, const NetworkInputs& inputs, DType real)
        : build_(build), loss_(loss), background_(inputs.background) {
        const TensorSpec map{DType::u8, Shape{inputs.batch, inputs.height, inputs.width}};
        maps_["labels"] = build.input("labels", map);
        for (const std::string& name : config::weak_maps_of(loss)) maps_[name] = build.input(name, map);
        class_weights_ =
            build.state("loss.class_weights", {real, Shape{inputs.classes}}, 1, graph::Saved::no);
    }

    ValueId labels() const { return maps_.at("labels"); }

    void append(const NetworkHeads& heads) {
        std::optional<RectificationLayers> layers;
        if (std::any_of(loss_.terms.begin(), loss_.terms.end(), is_rectification)) {
            if (!heads.features) {
                throw Error(ExitCode::config_invalid, 543, "this network has no layers for rectification.",
                            "Use model.name = \"res50_aspp_lorm\" or drop the term.");
            }
            layers = rectification_layers(build_, *heads.features);
        }
        auto scope = build_.scope("loss");
        append(heads.main, 1);
        for (const config::LossTerm& term : loss_.terms) {
            if (!is_rectification(term)) continue;
            build_.loss(rectification_loss(build_, node_name(term), *layers, maps_.at(config::map_of(term)),
                                           background_, term.weight));
        }
        for (const AuxiliaryHead& head : heads.auxiliary) {
            auto name = build_.scope(head.name);
            append(head.logits, head.loss_weight);
        }
    }

  private:
    /// Every term over logits on one head.
    void append(const Logits& logits, double weight) {
        for (const config::LossTerm& term : loss_.terms) {
            if (is_rectification(term)) continue;
            const ops::Op op =
                loss_term_called(term.name).op(loss_, term, logits.corners, weight * term.weight);
            std::vector<ValueId> inputs{logits.value, maps_.at(config::map_of(term))};
            if (!std::holds_alternative<ops::DistanceEntropy>(op)) inputs.push_back(class_weights_);
            build_.loss(build_.append(node_name(term), op, inputs));
        }
    }

    GraphBuilder& build_;
    const config::Loss& loss_;
    std::int64_t background_;
    std::map<std::string, ValueId> maps_;
    ValueId class_weights_;
};

void check_sizes(const NetworkInputs& inputs) {
    for (const ModalityInput& modality : inputs.modalities) {
        if (inputs.height % modality.scale != 0 || inputs.width % modality.scale != 0) {
            throw Error(ExitCode::config_invalid, 542,
                        fmt::format("{} x {} pixels are no multiple of modality {}'s scale {}.", inputs.width,
                                    inputs.height, modality.name, modality.scale),
                        "Choose a tile, crop and window that every scale divides.");
        }
    }
}

}  // namespace

std::vector<std::string> network_names() {
    std::vector<std::string> names;
    for (const Network& network : networks) names.emplace_back(network.name);
    return names;
}

config::Model completed(const config::Model& model) {
    const Network& network = network_called(model.name);
    config::Model result = model;
    if (result.encoder == "auto") result.encoder = network.encoder;
    if (result.vit.dropout < 0) result.vit.dropout = network.transformer_dropout;
    if (result.norm == "auto") result.norm = network.norm;
    if (result.output_stride == 0) result.output_stride = network.output_stride;
    return result;
}

bool exists_only_in_training(std::string_view name) {
    return std::any_of(training_only.begin(), training_only.end(),
                       [&](std::string_view prefix) { return name.starts_with(prefix); });
}

graph::Graph build_network(const config::Model& model, const config::Loss& loss, const NetworkInputs& inputs,
                           Task task, DType compute) {
    const Network& network = network_called(model.name);
    check_sizes(inputs);
    GraphBuilder build(task == Task::train ? device::Mode::training : device::Mode::inference, compute);
    const DType real = compute == DType::f64 ? DType::f64 : DType::f32;

    NetworkValues values;
    for (const ModalityInput& modality : inputs.modalities) {
        const Shape shape{inputs.batch, inputs.height / modality.scale, inputs.width / modality.scale,
                          modality.bands};
        values.modalities.push_back(build.input(modality.name, {compute, shape}));
    }
    const auto count = static_cast<std::int64_t>(inputs.modalities.size());
    values.presence = build.input("presence", {real, Shape{inputs.batch, 1, 1, count}});

    const NetworkHeads heads = network.body(build, completed(model), inputs, values);
    const Logits& logits = heads.main;

    if (task == Task::predict) {
        const ops::Softmax softmax{.height = inputs.height, .width = inputs.width, .corners = logits.corners};
        build.output("probabilities", build.append("probabilities", softmax, {logits.value}));
        return build.finish();
    }
    const config::Loss own = task == Task::evaluate ? loss_over_labels(loss) : loss;
    LossBuilder losses(build, own, inputs, real);
    losses.append(heads);
    if (task == Task::evaluate) {
        const TensorSpec matrix{DType::i64, Shape{inputs.classes, inputs.classes}};
        const ValueId confusion = build.state("evaluation.confusion", matrix, 0, graph::Saved::no);
        build.output("classes", build.append("classes", ops::Classify{.corners = logits.corners},
                                             {logits.value, losses.labels(), confusion}));
    }
    build.output("logits", logits.value);
    for (const AuxiliaryHead& head : heads.auxiliary) build.output(head.name + ".logits", head.logits.value);
    graph::Graph graph = build.finish();
    if (task == Task::train) graph::exclude_unused(graph);
    return graph;
}

}  // namespace terrane::nets
