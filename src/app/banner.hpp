#pragma once

#include <string>

#include "app/backend_choice.hpp"
#include "app/verb.hpp"

namespace terrane::app {

/// Writes the start banner from rank 0: version, verb, run folder, job, what started and connects the ranks,
/// where each of them is, threads, binding, libraries, what is computed on and why. `run` may be empty.
/// Collective.
void show_banner(const Invocation& invocation, const std::string& run, const ChosenBackend& backend);

}  // namespace terrane::app
