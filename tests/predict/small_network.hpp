#pragma once

#include "predict/map_support.hpp"
#include "predict/network_classifier.hpp"

namespace terrane::test {

/// A tiny duet for SyntheticScene with three classes, randomly initialised.
inline predict::ClassifierDesign small_design(std::int64_t window, std::int64_t batch) {
    predict::ClassifierDesign design;
    design.model.encoder_width = 8;
    design.model.decoder_channels = 16;
    design.model.aspp_channels = 16;
    design.model.modality_dropout = 0.3;
    design.window = window;
    design.batch = batch;
    design.classes = 3;
    const device::BandNormalisation optical{.mean = 125, .inverse_deviation = 1 / 70.0f};
    const device::BandNormalisation height{.mean = 20, .inverse_deviation = 1 / 15.0f};
    design.modalities.push_back({{"optical", DType::u8, 3, 1, {optical, optical, optical}}, {}});
    design.modalities.push_back({{"height", DType::f32, 1, 2, {height}}, {}});
    return design;
}

/// A tiny pkdiff for the same scene: two timesteps on two scales.
inline predict::ClassifierDesign small_diffusion_design(std::int64_t window, std::int64_t batch) {
    predict::ClassifierDesign design = small_design(window, batch);
    design.model.name = "pkdiff";
    design.model.diffusion.width = 8;
    design.model.diffusion.heads = 1;
    design.model.diffusion.timesteps = 2;
    design.model.diffusion.scales = 2;
    return design;
}

/// Gives the network weights that a seed stands for, its running statistics included.
inline void fill(predict::NetworkClassifier& network, std::uint64_t seed) {
    network.parameters().initialise(seed);
    network.parameters_changed();
}

}  // namespace terrane::test
