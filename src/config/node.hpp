#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace terrane::config {

/// A TOML value as plain data, free of the parser's types, with the place it came from.
struct Node {
    struct Entry;
    using Array = std::vector<Node>;
    using Table = std::vector<Entry>;  ///< ordered by key
    struct DateOrTime {};              ///< a TOML type that no option has

    std::variant<bool, std::int64_t, double, std::string, DateOrTime, Array, Table> value;
    std::string where;  ///< "scene.toml:12" or "--set"
};

struct Node::Entry {
    std::string key;
    Node node;
};

/// "an integer", "a string" ...: what a value is, for messages.
std::string_view describe_type(const Node& node);

/// Parses a whole TOML document; the result is a table. `name` is the file's name in messages.
/// Throws Error E0501 (78) with file and line for malformed text.
Node parse_toml(std::string_view text, const std::string& name);

/// Parses one TOML literal as given to --set; text that is no TOML value and doesn't begin like a string,
/// array or table is taken as a string, so that `data.tiles=tiles` needs no quotes. Throws Error E0501 (78).
Node parse_toml_literal(std::string_view literal, const std::string& where);

/// The literal forms, for writers: a quoted and escaped string, a key (quoted where TOML demands), a float
/// that reads back to the same bits.
std::string toml_string(std::string_view text);
std::string toml_key(std::string_view key);
std::string toml_real(double value);

}  // namespace terrane::config
