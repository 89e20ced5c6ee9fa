#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/verb.hpp"

namespace terrane::app {

/// A parsed command line: the verb and what was given to it, before any file is read.
struct Command {
    const Verb* verb = nullptr;  ///< null: only help or version was asked for
    Invocation::Parsed parsed;
    std::vector<std::string> config_files;
    std::vector<config::Assignment> named;  ///< options that stand for configuration keys
    std::vector<config::Assignment> sets;
    std::optional<std::string> local_rank;  ///< --local-rank as it was given: each rank's own
    std::string answer;                     ///< the help or version text, if that is all there is to do
};

/// Parses the arguments after the program's name; underscores in the names of options are read as dashes.
/// Throws Error 2: E0101 (unknown verb, with the nearest), E0102 (unknown option, with the nearest), E0103
/// (missing or malformed value), E0104 (unexpected argument), E0105 (required option missing).
Command parse_command_line(const std::vector<std::string>& arguments);

/// The global options as they are added to every verb.
const std::vector<VerbOption>& global_options();

std::string general_help();
std::string help_of(const Verb& verb);

}  // namespace terrane::app
