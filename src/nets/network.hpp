#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "graph/builder.hpp"

namespace terrane::nets {

/// A modality as a network sees it: an input slot [batch, height / scale, width / scale, bands] called by its
/// name.
struct ModalityInput {
    std::string name;
    std::int64_t bands = 3;
    std::int64_t scale = 1;
};

/// What a network is built for.
struct NetworkInputs {
    std::vector<ModalityInput> modalities;
    std::int64_t classes = 2;
    std::int64_t batch = 1;
    std::int64_t height = 128;  ///< of the labels, in pixels of the reference grid
    std::int64_t width = 128;
    std::int64_t background = -1;  ///< the class that is no object (weak supervision), or -1
};

/// train: losses and gradients; inputs are the modalities, "presence" f32 [batch, 1, 1, modalities] (1, or 0
/// where a sample
///   lacks a modality), "labels" u8 [batch, height, width] and, like it, the maps of weak supervision that
///   the loss looks at (config/weak_maps.hpp); state "loss.class_weights" f32 [classes].
/// evaluate: output "classes" u8 [batch, height, width], state "evaluation.confusion" i64 [classes, classes]
/// that counts
///   up over runs, and the losses over labels (cross-entropy if the loss has none); no maps of weak
///   supervision.
/// predict: output "probabilities" f32 [batch, height, width, classes]; no labels.
enum class Task { train, evaluate, predict };

/// The names of the networks that build_network knows.
std::vector<std::string> network_names();

/// The model with every value that is left to the network ("auto", 0) replaced by that network's own default.
/// Throws Error E0542 for an unknown name.
config::Model completed(const config::Model& model);

/// Builds a network by model.name with activations of type `compute` (f32, bf16). The model need not be
/// completed. The loss is the sum over the terms of loss.terms of the main logits' and, when training, each
/// auxiliary head's loss times the head's weight. Parameters that no loss depends on are not trainable.
/// Throws Error E0542 for an unknown name or sizes that do not fit the network.
graph::Graph build_network(const config::Model& model, const config::Loss& loss, const NetworkInputs& inputs,
                           Task task, DType compute);

/// Whether a parameter or state of that name belongs to a part that exists only while training (an auxiliary
/// head): a checkpoint has it, a network built for Task::evaluate or Task::predict does not.
bool exists_only_in_training(std::string_view name);

// What follows is for those who write a network: add its body to the table in network.cpp.

/// What a network's body gets to build from: one value per modality and the presence.
struct NetworkValues {
    std::vector<graph::ValueId> modalities;
    graph::ValueId presence;
};

/// Logits [batch, h, w, classes] of any resolution; losses, scores and probabilities upsample them to the
/// labels' by bilinear interpolation with this corner convention.
struct Logits {
    graph::ValueId value;
    ops::Corners corners = ops::Corners::half_pixel;
};

/// Further logits that only help training: every term of the loss is applied to them too, times
/// `loss_weight`.
struct AuxiliaryHead {
    std::string name;  ///< a loss term's node is called loss.<name>.<term>
    Logits logits;
    double loss_weight = 0.4;
};

/// What every network's body returns. Auxiliary heads are to be built only if build.mode() is training.
struct NetworkHeads {
    Logits main;
    std::vector<AuxiliaryHead> auxiliary;
    std::optional<graph::ValueId> features = {};  ///< for loss terms over features (rectification)
};

}  // namespace terrane::nets
