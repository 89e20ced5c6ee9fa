#pragma once

#include <string>
#include <vector>

#include "ops/op.hpp"

namespace terrane::bench {

/// One op of a network and how often the network has it.
struct OpCase {
    std::string name;
    ops::Op op;
    std::vector<TensorSpec> inputs;
    std::int64_t count = 1;
    /// Whether the input's gradient is asked for: not by a network's first layer.
    bool data_gradient = true;
};

/// The distinct convolutions of a ResNet of 18 or 50 layers and the batch normalisations after them, for
/// `batch` square crops of `bands` channels. From `dilated_stage` (1 to 4; 5: none) on, stages keep their
/// resolution and dilate instead.
std::vector<OpCase> resnet_cases(int depth, std::int64_t batch, std::int64_t crop, std::int64_t bands,
                                 int dilated_stage, DType compute);

/// What else the networks are made of: atrous pyramid, token mixing, and the memory-bound ops.
std::vector<OpCase> assorted_cases(std::int64_t batch, std::int64_t crop, DType compute);

}  // namespace terrane::bench
