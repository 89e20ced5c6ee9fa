#pragma once

#include <cstddef>
#include <filesystem>

#include "config/runtime.hpp"

namespace terrane::app {

/// Bytes a rank may plan with: runtime.ram if set, else 80 % of what is free: its share of what the host and
/// the control groups of the job have, and what its own address limit leaves. `ranks` is the number of ranks
/// on this host.
std::size_t memory_budget(const config::Runtime& runtime, int ranks);

/// Whether this process has a limit on addresses (ulimit -v): memory then counts as soon as it is allocated,
/// not when it is used.
bool addresses_are_limited();

/// What the control groups of this process, of either version and at every level, have free, their file cache
/// counted as free; the largest number without a limit. `proc` is /proc, `groups` /sys/fs/cgroup.
std::size_t available_in_groups(const std::filesystem::path& proc, const std::filesystem::path& groups);

}  // namespace terrane::app
