#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "graph/parameter_store.hpp"
#include "optim/optimizer.hpp"
#include "train/model_description.hpp"

namespace terrane::train {

/// A tensor by the name it has in a file.
struct NamedTensor {
    std::string name;
    TensorView tensor;
};
/// What the model's file holds: all parameters and the saved states (running statistics), where they live.
std::vector<NamedTensor> model_tensors(const graph::ParameterStore& store);
/// What the optimizer's file holds: its moments as moment/parameter name, where they live. With a moving
/// average of the weights both files are written while the average is in the store (optim::AveragedWeights):
/// the model's file then holds the average under the parameters' own names, which is what evaluate, predict
/// and init_weights load, and the optimizer's the trained weights as trained/parameter name. Running
/// statistics of batch norm are those of the training passes: they are moving averages already.
std::vector<NamedTensor> moment_tensors(const graph::ParameterStore& store, optim::Optimizer& optimizer);

/// Writes tensors of host memory as a model's file. Throws Error E0901.
void write_model(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors,
                 const ModelDescription& description);
/// The same for the optimizer's file.
void write_moments(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors);

/// Writes the model as it is now. Throws Error E0901.
void save_model(const std::filesystem::path& file, const graph::ParameterStore& store,
                device::Backend& backend, const ModelDescription& description);

/// Reads what save_model wrote: every parameter and saved state must be there with its shape; tensors that
/// the network lacks are an error too. Throws Errors E0601 ... E0603, E0605 (65).
void load_model(const std::filesystem::path& file, const graph::ParameterStore& store,
                device::Backend& backend);

/// Reads what write_moments wrote. Throws like load_model.
void load_moments(const std::filesystem::path& file, const graph::ParameterStore& store,
                  optim::Optimizer& optimizer, device::Backend& backend);

/// The model file behind what a user gives as weights: a checkpoint folder (its checksums are verified), a
/// link to one (ckpt/best), or a safetensors file. Throws Error E0902 (66), E0610 (65).
std::filesystem::path model_file_of(const std::filesystem::path& weights);

/// The description in a model file's metadata; nothing for foreign weights. Throws Error E0604.
std::optional<ModelDescription> read_model_description(const std::filesystem::path& file);
/// The same where it is needed. Throws also E0607 if there is none.
ModelDescription model_description(const std::filesystem::path& file);

}  // namespace terrane::train
