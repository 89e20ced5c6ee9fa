#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/model.hpp"
#include "graph/graph.hpp"

namespace terrane::nets {

/// What freeze() did with the parameters that the configuration names.
struct Frozen {
    std::vector<std::string> names;     ///< not trained
    std::vector<std::string> unloaded;  ///< trained after all, since their numbers were never loaded
};

/// Freezes what the configuration names in a training graph: the encoder's parameters (model.frozen =
/// "encoder") and those that match one of `expressions` (optim.freeze; ECMAScript, searched anywhere in the
/// name). Of these only the ones in `loaded`: a layer that was never loaded would stay what chance made it.
/// Without `loaded` all is taken for loaded, for plans and measurements. See graph/freeze.hpp for what
/// freezing means. Throws Error E0512 (an expression that is none, or matches nothing).
Frozen freeze(graph::Graph& graph, const config::Model& model, const std::vector<std::string>& expressions,
              const std::optional<std::set<std::string>>& loaded);

}  // namespace terrane::nets
