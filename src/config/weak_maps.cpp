#include "config/weak_maps.hpp"

#include <algorithm>

namespace terrane::config {

bool holds_classes(std::string_view map) {
    return map == scribble_map || map == pseudo_map;
}

std::string map_of(const LossTerm& term) {
    if (term.target == "label") return "labels";
    if (term.name != "distance_entropy") return term.target;
    return term.target == scribble_map ? scribble_distance_map : pseudo_distance_map;
}

std::vector<std::string> weak_maps_of(const Loss& loss) {
    std::vector<std::string> maps;
    for (const std::string_view map : weak_map_names) {
        const bool read = std::any_of(loss.terms.begin(), loss.terms.end(),
                                      [&](const LossTerm& term) { return map_of(term) == map; });
        if (read) maps.emplace_back(map);
    }
    return maps;
}

bool looks_at_several_maps(const Loss& loss) {
    return std::any_of(loss.terms.begin(), loss.terms.end(), [&](const LossTerm& term) {
        return term.name == "distance_entropy" || term.name == "rectification" ||
               term.target != loss.terms.front().target;
    });
}

std::string counted_map(const Loss& loss) {
    std::string found;
    for (const LossTerm& term : loss.terms) {
        if (term.name == "distance_entropy" || term.name == "rectification") continue;
        if (term.target == "label") return map_of(term);
        if (found.empty()) found = map_of(term);
    }
    return found.empty() ? "labels" : found;
}

std::int64_t background_index(const std::vector<Class>& classes) {
    for (std::size_t c = 0; c < classes.size(); ++c) {
        if (classes[c].background) return static_cast<std::int64_t>(c);
    }
    return -1;
}

}  // namespace terrane::config
