#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "comm/cores.hpp"
#include "comm/world.hpp"
#include "config/resolve.hpp"

/// How a verb of the command line is written: a file verb_<name>.cpp that defines a `const Verb`, listed in
/// verbs.cpp. docs/architecture.md shows an example.
namespace terrane::app {

enum class Argument { none, one, many };

/// A named option of one verb (the global ones are added to every verb).
struct VerbOption {
    std::string name;                   ///< "weights": --weights
    Argument argument = Argument::one;  ///< none: a flag; many: may be repeated
    std::string value_name{};           ///< "FOLDER", for the help
    std::string help{};
    char letter = '\0';     ///< 'i': also -i
    std::string key{};      ///< if set: the value goes to this configuration key, not to the verb
    bool required = false;  ///< usage error E0105 if it is absent
};

enum class Ranks {
    local,  ///< runs without MPI and without a GPU, whatever started it
    all,    ///< every rank of the launcher runs it together
};

enum class ConfigNeed {
    none,      ///< -c and --set are refused
    optional,  ///< the options alone may do; run() decides whether data must be described (config::check)
    required,  ///< at least one -c, checked as a whole before run()
};

class Invocation;

struct Verb {
    std::string name;     ///< "train", "data build"
    std::string summary;  ///< one line for the help
    Ranks ranks = Ranks::all;
    ConfigNeed config = ConfigNeed::required;
    std::string positional;  ///< what arguments without a dash are ("FILE"); empty: none are accepted
    std::vector<VerbOption> options;
    /// Does the work on every rank. A returned code other than done must be the same on all ranks; errors are
    /// thrown.
    ExitCode (*run)(Invocation& invocation) = nullptr;
};

/// What the user asked for, resolved, and the world it runs in.
class Invocation {
  public:
    struct Parsed {
        std::map<std::string, std::vector<std::string>>
            values;  ///< by long option name; a flag has one empty value
        std::vector<std::string> positional;
        std::vector<std::string> command;  ///< the whole command line, for records
    };

    Invocation(const Verb& verb, Parsed parsed, config::Resolved resolved, comm::World& world,
               comm::CoreShare cores);

    const Verb& verb() const { return verb_; }
    const config::Config& config() const { return resolved_.config; }
    const config::Resolved& resolved() const { return resolved_; }
    comm::World& world() const { return world_; }
    comm::Communicator& communicator() const { return world_.communicator(); }
    const comm::CoreShare& cores() const { return cores_; }
    const std::vector<std::string>& command() const { return parsed_.command; }
    std::string command_text() const;  ///< its words with spaces between, for records

    bool has(const std::string& option) const;
    /// The value of an option of the verb, or the fallback. Numbers: Error E0103 (2) if malformed.
    std::string text(const std::string& option, const std::string& fallback = "") const;
    std::int64_t integer(const std::string& option, std::int64_t fallback) const;
    double real(const std::string& option, double fallback) const;
    std::vector<std::string> list(const std::string& option) const;
    const std::vector<std::string>& positional() const { return parsed_.positional; }

  private:
    const Verb& verb_;
    Parsed parsed_;
    config::Resolved resolved_;
    comm::World& world_;
    comm::CoreShare cores_;
};

/// All verbs in the order of the help.
const std::vector<const Verb*>& verbs();

/// The program's version, "0.1.0".
std::string_view version();

}  // namespace terrane::app
