#pragma once

#include <span>

#include "nets/norm.hpp"

namespace terrane::nets {

/// Atrous spatial pyramid pooling (Chen et al. 2017): a 1x1 branch, one 3x3 branch per dilation rate and one
/// branch of the image's mean, joined and projected to `channels`. The mean's branch has a bias instead of a
/// norm: one pixel per sample gives no batch statistics worth having.
graph::ValueId aspp(graph::GraphBuilder& build, NormKind kind, graph::ValueId x, std::int64_t channels,
                    std::span<const std::int64_t> rates);

}  // namespace terrane::nets
