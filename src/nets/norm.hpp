#pragma once

#include <optional>
#include <string_view>

#include "graph/builder.hpp"

namespace terrane::nets {

/// Which normalisation a network is built with.
enum class NormKind { batch, synchronised_batch, group };
/// "batch", "sync_batch", "group". Throws Error E0540 for anything else.
NormKind norm_from_name(std::string_view name);

/// What follows the normalisation, fused into it.
struct NormTail {
    ops::Rectify rectify = ops::Rectify::yes;
    std::optional<graph::ValueId> residual;  ///< added before the ReLU
    double initial_scale = 1;
};

/// Appends a norm called `name` with parameters name.weight and name.bias (and states name.running_mean,
/// name.running_var).
graph::ValueId norm(graph::GraphBuilder& build, NormKind kind, std::string_view name, graph::ValueId x,
                    const NormTail& tail = {});

/// Convolution without bias named `conv`, then norm and ReLU named `bn`: the usual unit of every part below.
graph::ValueId convolution_norm_relu(graph::GraphBuilder& build, NormKind kind, std::string_view conv,
                                     std::string_view bn, graph::ValueId x, std::int64_t channels,
                                     const graph::GraphBuilder::ConvolutionOptions& options);

}  // namespace terrane::nets
