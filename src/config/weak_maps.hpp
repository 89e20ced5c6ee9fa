#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "config/scene.hpp"

/// The maps beside the labels that weak supervision learns from, by the names they have in tile stores and as
/// inputs of networks: classes of scribbles and pseudo-labels, and the distance maps made from them.
namespace terrane::config {

inline constexpr const char* scribble_map = "scribble";
inline constexpr const char* pseudo_map = "pseudo";
inline constexpr const char* scribble_distance_map = "scribble_distance";
inline constexpr const char* pseudo_distance_map = "pseudo_distance";

/// All of them, in the order in which stores hold them.
inline constexpr std::array<std::string_view, 4> weak_map_names{scribble_map, pseudo_map, scribble_distance_map,
                                                                pseudo_distance_map};

/// Whether a map holds class indices (255: none); otherwise distances.
bool holds_classes(std::string_view map);
/// The map that a term of the loss reads: "labels" or one of the above.
std::string map_of(const LossTerm& term);
/// The maps beside the labels that a loss reads, each once, in the order above.
std::vector<std::string> weak_maps_of(const Loss& loss);
/// Whether the terms look at more than one map, or at anything but classes: then each term is a mean of its
/// own.
bool looks_at_several_maps(const Loss& loss);
/// The class map whose frequencies count for class weights and balanced sampling: the labels if any term
/// looks at them, otherwise that of the first term that looks at classes.
std::string counted_map(const Loss& loss);

/// Position of the class that is no object, or -1: all are objects.
std::int64_t background_index(const std::vector<Class>& classes);

}  // namespace terrane::config
