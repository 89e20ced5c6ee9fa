#pragma once

#include <string>
#include <vector>

#include "config/model.hpp"
#include "config/scene.hpp"
#include "data/tile_source.hpp"

namespace terrane::train {

/// What weights mean: the network, its inputs with their normalisation, and its classes. Travels as JSON in
/// the metadata of model.safetensors (key "terrane.model"), so that a checkpoint can be applied to rasters
/// without the tile store it was trained on.
struct ModelDescription {
    config::Model model;
    std::vector<data::ModalityLayout> modalities;
    std::vector<config::Class> classes;
    std::int64_t crop = 0;  ///< edge of the training samples in reference pixels

    std::string to_json() const;
    /// Throws Error E0604 (65) if `json` is no description; `file` is named in the message.
    static ModelDescription from_json(const std::string& json, const std::string& file);
};

/// The metadata key that holds the description.
inline constexpr const char* model_description_key = "terrane.model";

}  // namespace terrane::train
