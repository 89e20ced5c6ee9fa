#pragma once

#include <string>

#include "app/options.hpp"
#include "app/verb.hpp"

namespace terrane::app {

/// The effective configuration of a command: rank 0 reads the files and broadcasts their bytes, every rank
/// resolves them. An error is the same on all ranks.
config::Resolved resolve_configuration(const Command& command, comm::World& world);

/// Runs a parsed command on this rank and returns the exit code all ranks agree on. Errors are thrown.
int run_command(const Command& command, comm::World& world);

}  // namespace terrane::app
