#include "nets/network.hpp"

#include "nets/duet.hpp"

namespace terrane::nets {

namespace {

using graph::GraphBuilder;
using graph::ValueId;

void append_losses(GraphBuilder& build, const config::Loss& loss, ValueId logits, ValueId labels,
                   ValueId class_weights) {
    auto scope = build.scope("loss");
    for (const config::LossTerm& term : loss.terms) {
        if (term.name == "cross_entropy") {
            const ops::CrossEntropy op{.label_smoothing = loss.label_smoothing, .loss_weight = term.weight};
            build.loss(build.append(term.name, op, {logits, labels, class_weights}));
        } else if (term.name == "dice") {
            build.loss(build.append(term.name, ops::Dice{.loss_weight = term.weight},
                                    {logits, labels, class_weights}));
        } else {
            throw Error(ExitCode::config_invalid, 543, fmt::format("loss term '{}' is unknown.", term.name),
                        "Use cross_entropy or dice.");
        }
    }
}

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
    return {"duet"};
}

graph::Graph build_network(const config::Model& model, const config::Loss& loss, const NetworkInputs& inputs,
                           Task task, DType compute) {
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

    ValueId logits;
    if (model.name == "duet") {
        logits = duet(build, model, inputs, values);
    } else {
        throw Error(ExitCode::config_invalid, 542,
                    fmt::format("model.name = \"{}\" is no network.", model.name), "Use duet.");
    }

    if (task == Task::predict) {
        build.output("probabilities",
                     build.append("probabilities",
                                  ops::Softmax{.height = inputs.height, .width = inputs.width}, {logits}));
        return build.finish();
    }
    const ValueId labels =
        build.input("labels", {DType::u8, Shape{inputs.batch, inputs.height, inputs.width}});
    const ValueId class_weights =
        build.state("loss.class_weights", {real, Shape{inputs.classes}}, 1, graph::Saved::no);
    append_losses(build, loss, logits, labels, class_weights);
    if (task == Task::evaluate) {
        const TensorSpec matrix{DType::i64, Shape{inputs.classes, inputs.classes}};
        const ValueId confusion = build.state("evaluation.confusion", matrix, 0, graph::Saved::no);
        build.output("classes", build.append("classes", ops::Classify{}, {logits, labels, confusion}));
    }
    build.output("logits", logits);
    return build.finish();
}

}  // namespace terrane::nets
