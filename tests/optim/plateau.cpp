#include "optim/plateau.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("the rate falls after more than `patience` evaluations without gain, as in PyTorch") {
    config::Optim settings;
    settings.plateau_patience = 2;
    settings.plateau_threshold = 0.01;
    optim::PlateauState state;
    std::vector<std::int64_t> reductions;
    for (const double score : {0.5, 0.505, 0.509, 0.508, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6}) {
        optim::observe(state, settings, score, 0);
        reductions.push_back(state.reductions);
    }
    // Gains of up to 0.01 don't count: reduced at the third in a row, counting anew after 0.6.
    CHECK(reductions == std::vector<std::int64_t>{0, 0, 0, 1, 1, 1, 1, 2, 2, 2});
    CHECK(state.best == 0.6);
}

TEST_CASE("a monitored loss is to be low") {
    config::Optim settings;
    settings.plateau_monitor = "loss";
    settings.plateau_patience = 0;
    optim::PlateauState state;
    for (const double loss : {2.0, 1.0, 0.5}) optim::observe(state, settings, 0, loss);
    CHECK(state.reductions == 0);
    optim::observe(state, settings, 1, 0.5);
    CHECK(state.reductions == 1);
    CHECK(state.best == 0.5);
}
