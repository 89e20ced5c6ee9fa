#include "nets/resize.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

ValueId resized_like(GraphBuilder& build, std::string_view name, ValueId x, ValueId like,
                     ops::Corners corners) {
    const Shape& from = build.shape_of(x);
    const Shape& to = build.shape_of(like);
    if (from.height() == to.height() && from.width() == to.width()) return x;
    return build.append(name, ops::Resize{.height = to.height(), .width = to.width(), .corners = corners},
                        {x});
}

}  // namespace terrane::nets
