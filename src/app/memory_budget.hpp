#pragma once

#include <cstddef>

#include "config/runtime.hpp"

namespace terrane::app {

/// Bytes a rank may plan with: runtime.ram if set, else its share of 80 % of what the host, or the control
/// group that the job runs in, has free. `ranks` is the number of ranks on this host.
std::size_t memory_budget(const config::Runtime& runtime, int ranks);

}  // namespace terrane::app
