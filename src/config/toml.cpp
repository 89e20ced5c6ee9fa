// The only file that includes toml++, whose header costs seconds to compile.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.hpp"
#include "config/node.hpp"

namespace terrane::config {

namespace {

std::string place(const std::string& name, const toml::source_region& region) {
    return fmt::format("{}:{}", name, region.begin.line);
}

Node convert(const toml::node& from, const std::string& name) {
    Node node;
    node.where = place(name, from.source());
    if (const auto* boolean = from.as_boolean()) {
        node.value = boolean->get();
    } else if (const auto* integer = from.as_integer()) {
        node.value = integer->get();
    } else if (const auto* real = from.as_floating_point()) {
        node.value = real->get();
    } else if (const auto* text = from.as_string()) {
        node.value = text->get();
    } else if (const auto* array = from.as_array()) {
        Node::Array items;
        for (const toml::node& item : *array) items.push_back(convert(item, name));
        node.value = std::move(items);
    } else if (const auto* table = from.as_table()) {
        Node::Table entries;
        for (const auto& [key, item] : *table) {
            Node entry = convert(item, name);
            if (!item.is_table() || key.source().begin.line != 0) entry.where = place(name, key.source());
            entries.push_back({std::string(key.str()), std::move(entry)});
        }
        node.value = std::move(entries);
    } else {
        node.value = Node::DateOrTime{};
    }
    return node;
}

// A value of the command line has no lines, nor have the items within.
void place_at(Node& node, const std::string& where) {
    node.where = where;
    if (auto* items = std::get_if<Node::Array>(&node.value)) {
        for (Node& item : *items) place_at(item, where);
    } else if (auto* entries = std::get_if<Node::Table>(&node.value)) {
        for (Node::Entry& entry : *entries) place_at(entry.node, where);
    }
}

}  // namespace

std::string_view describe_type(const Node& node) {
    struct {
        std::string_view operator()(bool) const { return "a boolean"; }
        std::string_view operator()(std::int64_t) const { return "an integer"; }
        std::string_view operator()(double) const { return "a float"; }
        std::string_view operator()(const std::string&) const { return "a string"; }
        std::string_view operator()(Node::DateOrTime) const { return "a date or time"; }
        std::string_view operator()(const Node::Array&) const { return "an array"; }
        std::string_view operator()(const Node::Table&) const { return "a table"; }
    } visitor;
    return std::visit(visitor, node.value);
}

Node parse_toml(std::string_view text, const std::string& name) {
    try {
        return convert(toml::parse(text), name);
    } catch (const toml::parse_error& reason) {
        std::string description(reason.description());
        if (!description.empty() && description.back() == '.') description.pop_back();
        throw Error(ExitCode::config_invalid, 501,
                    fmt::format("{}: not valid TOML: {}.", place(name, reason.source()), description),
                    "Correct the line; strings need quotes in TOML files.");
    }
}

Node parse_toml_literal(std::string_view literal, const std::string& where) {
    const std::size_t first = literal.find_first_not_of(" \t");
    const char opening = first == std::string_view::npos ? '\0' : literal[first];
    try {
        const toml::table parsed = toml::parse("value = " + std::string(literal));
        if (parsed.size() == 1) {
            Node node = convert(*parsed.get("value"), where);
            place_at(node, where);
            return node;
        }
    } catch (const toml::parse_error& reason) {
        if (opening == '[' || opening == '{' || opening == '"' || opening == '\'') {
            throw Error(ExitCode::config_invalid, 501,
                        fmt::format("{}: {} is not a valid TOML value: {}.", where, literal,
                                    std::string(reason.description())),
                        "Quote the whole argument for the shell, and strings inside arrays for TOML: "
                        "'key=[\"a\", \"b\"]'.");
        }
    }
    return Node{std::string(literal), where};
}

std::string toml_string(std::string_view text) {
    std::string result = "\"";
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (character == '"' || character == '\\') {
            result += '\\';
            result += character;
        } else if (byte < 0x20 || byte == 0x7f) {
            result += fmt::format("\\u{:04X}", static_cast<unsigned>(byte));
        } else {
            result += character;
        }
    }
    return result + '"';
}

std::string toml_key(std::string_view key) {
    const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](char character) {
        return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
               (character >= '0' && character <= '9') || character == '_' || character == '-';
    });
    return bare ? std::string(key) : toml_string(key);
}

std::string toml_real(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    std::string text = fmt::format("{}", value);  // the shortest text that reads back to the same double
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

}  // namespace terrane::config
