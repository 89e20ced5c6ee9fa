#pragma once

#include <string>
#include <vector>

#include "config/resolve.hpp"

namespace terrane::config {

enum class SourceComments { off, on };

/// The effective configuration as TOML, every key with its value; reading it gives an equal Config. With
/// comments each line says where its value came from.
std::string print_toml(const Resolved& resolved, SourceComments comments);

/// A key whose effective value is not the same in two configurations; texts are TOML, empty where the key is
/// absent (of a list's entry that only one of them has).
struct Difference {
    std::string key;  ///< "modality[0].scale"
    std::string left, left_source;
    std::string right, right_source;
};

/// In the order of print_toml(), entries that only `right` has last.
std::vector<Difference> differences(const Resolved& left, const Resolved& right);

/// SHA-256 of the configuration without [report] and [runtime], its seed excepted: equal for runs of the same
/// experiment.
std::string identity_hash(const Config& config);

/// JSON Schema (draft 2020-12) of the TOML files, for editors.
std::string json_schema();

/// The reference of all options in Markdown: docs/config.md.
std::string markdown_reference();

}  // namespace terrane::config
