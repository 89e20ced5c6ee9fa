#pragma once

#include <string>

#include "app/verb.hpp"

namespace terrane::app {

/// Writes the start banner from rank 0: version, verb, run folder, job, what started and connects the ranks,
/// where each of them is, threads, binding, libraries. `run` may be empty. Collective.
void show_banner(const Invocation& invocation, const std::string& run);

}  // namespace terrane::app
