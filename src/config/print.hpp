#pragma once

#include <string>

#include "config/resolve.hpp"

namespace terrane::config {

enum class SourceComments { off, on };

/// The effective configuration as TOML, every key with its value; reading it gives an equal Config. With
/// comments each line says where its value came from.
std::string print_toml(const Resolved& resolved, SourceComments comments);

/// SHA-256 of the configuration without [report] and [runtime], its seed excepted: equal for runs of the same experiment.
std::string identity_hash(const Config& config);

/// JSON Schema (draft 2020-12) of the TOML files, for editors.
std::string json_schema();

/// The reference of all options in Markdown: docs/config.md.
std::string markdown_reference();

}  // namespace terrane::config
