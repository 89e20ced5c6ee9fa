#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/config.hpp"

/// From files and command-line options to the effective configuration.
namespace terrane::config {

/// A config file's bytes; what rank 0 reads and broadcasts.
struct ConfigText {
    std::string name;    ///< as the user wrote it, for messages
    std::string folder;  ///< absolute: where relative raster paths start
    std::string content;
};

/// Reads config files (at most 1 MiB each). Throws Error E0902: 66 if one is missing, 65 if it is too large.
std::vector<ConfigText> read_config_files(const std::vector<std::string>& paths);

/// A value given on the command line. `source` is how the user wrote it: "--seed" or "--set".
struct Assignment {
    std::string key;    ///< "train.epochs", "modality.dsm.files", "modality[1].scale"
    std::string value;  ///< a TOML literal; where the option is a text, also the bare text
    std::string source;
};

struct Resolved {
    Config config;
    /// Where each value that isn't a default came from, by full key ("modality[0].scale"): "scene.toml:12",
    /// "--set".
    std::map<std::string, std::string> sources;

    /// The source of a key for messages: "scene.toml:12", "--set", or "default".
    std::string source_of(const std::string& key) const;
};

/// Applies, in this order: the structs' defaults, the files in order, the named options, the --set
/// assignments. A later file replaces single values and whole lists of tables. The caller decides with
/// check.hpp how complete the result must be. Throws Error 78: E0501 (not TOML), E0502 (unknown key, with the
/// nearest known one), E0503 (wrong type), E0505 (out of range or wrong length), E0506 (not an allowed
/// value), E0507 (required key missing); each names file and line.
Resolved resolve(const std::vector<ConfigText>& files, const std::vector<Assignment>& named,
                 const std::vector<Assignment>& sets);

}  // namespace terrane::config
