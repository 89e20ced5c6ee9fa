#pragma once

#include <string_view>

#include "graph/builder.hpp"

namespace terrane::nets {

/// A map at the resolution of `like`: itself, or resized by a node called `name`.
graph::ValueId resized_like(graph::GraphBuilder& build, std::string_view name, graph::ValueId x,
                            graph::ValueId like, ops::Corners corners = ops::Corners::half_pixel);

}  // namespace terrane::nets
