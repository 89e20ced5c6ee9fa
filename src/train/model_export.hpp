#pragma once

#include <cstdint>
#include <filesystem>

#include "train/model_description.hpp"

namespace terrane::train {

/// Writes a model file of ours as safetensors for PyTorch: the same names, convolutions as [K, C, R, S],
/// transposed ones as [C, K, R, S], and the batch counter that PyTorch's norms expect beside their
/// statistics, so that load_state_dict(strict=True) takes it. Returns the number of tensors. Throws Error
/// E0601, E0602, E0901.
std::size_t export_for_pytorch(const std::filesystem::path& model, const std::filesystem::path& path);

/// What of a network's inputs an ONNX file fixes.
struct OnnxSizes {
    std::int64_t batch = 1;
    std::int64_t height = 0;  ///< 0: the edge of the training crop
    std::int64_t width = 0;
};

/// Writes the inference graph of a model file with its weights as ONNX, operator set 17: inputs by modality
/// [N, bands, h, w], normalised as in training, and "presence" [N, modalities, 1, 1]; output "probabilities"
/// [N, classes, height, width]. The description of the model, with the constants of the normalisation, is in
/// the metadata. Throws Errors E0607 without a description, E0625, E0626, and those of build_network.
void export_onnx(const std::filesystem::path& model, const std::filesystem::path& path,
                 const OnnxSizes& sizes);

}  // namespace terrane::train
