#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace terrane::config {

/// The candidate with the smallest edit distance to `word` (insert, delete, substitute, swap of neighbours),
/// for "did you mean"; nothing if even the nearest differs in more than a third of its letters. Ties: the
/// first.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace terrane::config
