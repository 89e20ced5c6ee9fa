#pragma once

#include <string>

#include "app/verb.hpp"

namespace terrane::app {

/// Writes the start banner from rank 0: version, verb, run folder, job, ranks, threads, binding. `run` may be
/// empty.
void show_banner(const Invocation& invocation, const std::string& run);

}  // namespace terrane::app
