#pragma once

#include <filesystem>
#include <string>

#include "train/model_export.hpp"

namespace terrane::train {

/// Fills a new folder with everything that others need to find, judge and run a model:
///   model.safetensors  the model file as it is, for terrane predict --weights
///   pytorch.safetensors the same in PyTorch's layout
///   model.onnx         the network for inference, unless it has none (pkdiff)
///   item.json          a STAC Item (1.1.0) with the Machine Learning Model extension (mlm 1.4.0): inputs with
///                      their normalisation, classes with their colours, files with size and checksum
/// `name` becomes the item's id. Throws like export_onnx, and E0901.
void export_bundle(const std::filesystem::path& model, const std::filesystem::path& folder,
                   const std::string& name, const OnnxSizes& sizes);

}  // namespace terrane::train
