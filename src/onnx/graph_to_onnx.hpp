#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "onnx/onnx_model.hpp"

namespace terrane::onnx {

/// The numbers of a parameter or state by its name, in terrane's layout.
using Numbers = std::function<std::vector<float>(const std::string& name, const Shape& shape)>;

/// Writes an inference graph in f32 (Task::predict) down as ONNX, operator set 17, all sizes fixed.
///
/// Maps [N, H, W, C] become [N, C, H, W], as ONNX has them; tokens [N, T, C] stay. Inputs and outputs keep
/// their names: each modality [N, bands, h, w] (normalised as the network takes it), presence [N, modalities,
/// 1, 1], and the outputs. Throws Error E0626 for an operation that has no counterpart in ONNX.
void graph_to_onnx(const graph::Graph& graph, const Numbers& numbers, OnnxModel& model);

}  // namespace terrane::onnx
