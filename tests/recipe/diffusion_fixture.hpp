#pragma once

#include "cpu/backend.hpp"
#include "train/training_fixture.hpp"

namespace terrane::test {

/// A narrow recursion of two timesteps on two scales.
inline config::Config small_diffusion() {
    config::Config config = small_config();
    config.model.name = "pkdiff";
    config.model.diffusion.width = 8;
    config.model.diffusion.heads = 1;
    config.model.diffusion.timesteps = 2;
    config.model.diffusion.scales = 2;
    config.model.diffusion.pk_samples = 256;
    config.optim.clip_norm = 1;
    config.train.steps = 3;
    return config;
}

}  // namespace terrane::test
