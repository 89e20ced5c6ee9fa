#pragma once

#include <map>
#include <string>

#include "config/node.hpp"
#include "config/registry.hpp"

namespace terrane::config {

/// Puts values of parsed TOML into a Config through the registry, checking type and range, and notes their
/// source.
class Reader {
  public:
    Reader(Config& config, std::map<std::string, std::string>& sources)
        : config_(config), sources_(sources) {}

    /// A whole document; `folder` is where its relative raster paths start.
    void read(const Node& document, const std::string& folder);

    /// One `key=value` of the command line; relative raster paths start at `folder`.
    void assign(const std::string& key, const std::string& literal, const std::string& source,
                const std::string& folder);

  private:
    struct Target;  // where a key leads: an option or a list, and the object that holds it

    void read_table(const Table& table, void* object, const Node::Table& entries, const std::string& prefix);
    void read_list(const Table& table, void* parent, const Node& node, const std::string& key);
    void read_option(const Option& option, void* object, const Node& node, const std::string& key);
    Target find(const std::string& key, const std::string& source);

    Config& config_;
    std::map<std::string, std::string>& sources_;
    std::string folder_;
};

}  // namespace terrane::config
