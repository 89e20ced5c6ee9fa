#pragma once

#include <string>
#include <vector>

#include "config/node.hpp"
#include "config/registry.hpp"

namespace terrane::config {

/// The value of an option from a TOML node, checked against type, length, range and allowed values. `key` is
/// the full key for messages, `folder` where relative raster paths start. Throws Error E0503, E0505, E0506
/// (78).
Value convert(const Option& option, const Node& node, const std::string& key, const std::string& folder);

/// `Did you mean "x"?` for the nearest candidate, or an empty text.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace terrane::config
