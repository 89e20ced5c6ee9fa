#include "optim/plateau.hpp"

namespace terrane::optim {

void observe(PlateauState& state, const config::Optim& settings, double score, double loss) {
    const bool high_is_good = settings.plateau_monitor == "score";
    const double value = high_is_good ? score : loss;
    const double gain = high_is_good ? value - state.best : state.best - value;
    const bool better = state.evaluations == 0 || gain > settings.plateau_threshold;
    ++state.evaluations;
    if (better) {
        state.best = value;
        state.stalled = 0;
        return;
    }
    if (++state.stalled <= settings.plateau_patience) return;
    ++state.reductions;
    state.stalled = 0;
}

}  // namespace terrane::optim
