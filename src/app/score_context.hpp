#pragma once

#include <string>

#include "config/config.hpp"
#include "report/scores_output.hpp"

namespace terrane::app {

/// The classes of the configuration, scored on a split.
inline report::ScoreContext score_context(const config::Config& config, const std::string& split) {
    report::ScoreContext context;
    context.split = split;
    for (const config::Class& entry : config.classes) context.classes.push_back({entry.name, entry.color});
    return context;
}

}  // namespace terrane::app
