#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "config/training.hpp"
#include "device/backend.hpp"
#include "graph/parameter_store.hpp"
#include "weights/import_plan.hpp"

namespace terrane::train {

/// Weights from elsewhere (.pth, safetensors) or of a model that differs from the network at hand: what fits
/// by name and shape is loaded, the rest keeps its initial numbers and is reported.
///
/// A tensor that nothing was loaded into must never be frozen. What will be loaded is known from the graph
/// and the file's names before a program is planned: names_that_load().

/// The numbers that a network of this graph takes from import_weights: parameters and saved states.
std::vector<weights::ImportTarget> import_targets(const graph::Graph& graph);

/// train.init_weights, or an empty path if nothing is there and import.missing is "warn".
std::filesystem::path weights_to_load(const config::Import& rules, const std::filesystem::path& weights);

/// Whether train.init_weights is to be loaded as it is, every tensor required: a checkpoint of ours, unless
/// import.match says otherwise.
bool loads_strictly(const config::Import& rules, const std::filesystem::path& weights);

/// The names of the graph's parameters and saved states that `weights` (as train.init_weights: a checkpoint
/// folder or a file) has numbers for; only names and shapes are read. Empty for an empty path.
std::set<std::string> names_that_load(const config::Import& rules, const std::filesystem::path& weights,
                                      const graph::Graph& graph);

/// Assigns a file's tensors to the targets. Throws Error E0624 if not a single one fits, and the errors of
/// weights::open_tensor_file.
weights::ImportPlan plan_model_import(const config::Import& rules, const weights::TensorFile& file,
                                      std::vector<weights::ImportTarget> targets);

/// Loads what fits into the store; tells what happened in the returned plan.
weights::ImportPlan import_model(const config::Import& rules, const std::filesystem::path& file,
                                 const graph::ParameterStore& store, device::Backend& backend);

/// Writes the tensors that fit, and only those, as a safetensors file in terrane's layout with the report in
/// its metadata.
void write_imported(const std::filesystem::path& path, const weights::TensorFile& file,
                    const weights::ImportPlan& plan);

}  // namespace terrane::train
