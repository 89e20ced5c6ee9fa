#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
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
};

/// train: losses and gradients; inputs are the modalities, "presence" f32 [batch, 1, 1, modalities] (1, or 0
/// where a sample
///   lacks a modality) and "labels" u8 [batch, height, width]; state "loss.class_weights" f32 [classes].
/// evaluate: output "classes" u8 [batch, height, width], state "evaluation.confusion" i64 [classes, classes]
/// that counts
///   up over runs, and the losses; the same inputs.
/// predict: output "probabilities" f32 [batch, height, width, classes]; no labels.
enum class Task { train, evaluate, predict };

/// The names of the networks that build_network knows.
std::vector<std::string> network_names();

/// Builds a network by model.name with activations of type `compute` (f32, bf16).
/// Throws Error E0542 for an unknown name or sizes that do not fit the network.
graph::Graph build_network(const config::Model& model, const config::Loss& loss, const NetworkInputs& inputs,
                           Task task, DType compute);

/// What a network's body gets to build from: one value per modality and the presence.
struct NetworkValues {
    std::vector<graph::ValueId> modalities;
    graph::ValueId presence;
};

}  // namespace terrane::nets
