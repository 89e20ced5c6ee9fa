#pragma once

#include <cstdint>

#include "config/optim.hpp"

namespace terrane::optim {

/// What a plateau schedule remembers between evaluations; part of a checkpoint.
struct PlateauState {
    std::int64_t evaluations = 0;
    double best = 0;           ///< the best monitored value so far; meaningless before the first evaluation
    std::int64_t stalled = 0;  ///< evaluations since it was found, or since the last reduction
    std::int64_t reductions = 0;  ///< how often the rate was lowered

    bool operator==(const PlateauState&) const = default;
};

/// Takes note of an evaluation: PyTorch's ReduceLROnPlateau with threshold_mode "abs" and no cooldown. The
/// monitored value (optim.plateau_monitor: the score eval.best, to be high, or the validation loss, to be
/// low) counts as better if it beats the best by more than optim.plateau_threshold; after more than
/// optim.plateau_patience evaluations in a row that are not, the rate is lowered once.
void observe(PlateauState& state, const config::Optim& settings, double score, double loss);

}  // namespace terrane::optim
