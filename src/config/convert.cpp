#include "config/convert.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/error.hpp"
#include "config/nearest.hpp"

namespace terrane::config {

namespace {

std::string_view describe_kind(ValueKind kind) {
    switch (kind) {
        case ValueKind::boolean:
            return "true or false";
        case ValueKind::integer:
            return "an integer";
        case ValueKind::real:
            return "a number";
        case ValueKind::text:
            return "a string";
        case ValueKind::integers:
            return "an array of integers";
        case ValueKind::reals:
            return "an array of numbers";
        case ValueKind::texts:
            return "an array of strings";
        case ValueKind::integer_map:
            return "a table of integer = integer";
        case ValueKind::text_map:
            return "a table of \"text\" = \"text\"";
    }
    return "?";
}

[[noreturn]] void wrong_type(const Option& option, const Node& node, const std::string& key) {
    throw Error(ExitCode::config_invalid, 503,
                fmt::format("{}: {} must be {}, but is {}.", node.where, key, describe_kind(option.kind),
                            describe_type(node)),
                option.help.empty() ? "" : fmt::format("It means: {}.", option.help));
}

std::string describe_range(const Option& option) {
    std::string text;
    if (option.low) text += fmt::format("{} {}", option.low->open ? "above" : "at least", option.low->value);
    if (option.low && option.high) text += " and ";
    if (option.high)
        text += fmt::format("{} {}", option.high->open ? "below" : "at most", option.high->value);
    return text;
}

void check_range(const Option& option, double value, const std::string& text, const std::string& where,
                 const std::string& key) {
    const bool low_holds =
        !option.low || (option.low->open ? value > option.low->value : value >= option.low->value);
    const bool high_holds =
        !option.high || (option.high->open ? value < option.high->value : value <= option.high->value);
    const bool limited = option.low || option.high;
    if (low_holds && high_holds && !(limited && std::isnan(value))) return;
    const std::string unit = option.unit.empty() ? "" : " " + option.unit;
    throw Error(ExitCode::config_invalid, 505,
                fmt::format("{}: {} = {} is out of range: it must be {}{}.", where, key, text,
                            describe_range(option), unit),
                fmt::format("It means: {}.", option.help));
}

void check_allowed(const Option& option, const std::string& value, const std::string& where,
                   const std::string& key) {
    if (option.allowed.empty()) return;
    for (const std::string& allowed : option.allowed) {
        if (value == allowed) return;
    }
    throw Error(
        ExitCode::config_invalid, 506,
        fmt::format("{}: {} = \"{}\" is not one of {}.", where, key, value, fmt::join(option.allowed, ", ")),
        did_you_mean(value, option.allowed));
}

std::int64_t as_integer(const Option& option, const Node& node, const std::string& key) {
    const auto* value = std::get_if<std::int64_t>(&node.value);
    if (value == nullptr) wrong_type(option, node, key);
    check_range(option, static_cast<double>(*value), fmt::format("{}", *value), node.where, key);
    return *value;
}

double as_real(const Option& option, const Node& node, const std::string& key) {
    double value = 0;
    if (const auto* integer = std::get_if<std::int64_t>(&node.value)) {
        value = static_cast<double>(*integer);
    } else if (const auto* real = std::get_if<double>(&node.value)) {
        value = *real;
    } else {
        wrong_type(option, node, key);
    }
    check_range(option, value, fmt::format("{}", value), node.where, key);
    return value;
}

// GDAL names that are not plain paths ("NETCDF:file:variable", "https://...") stay as they are.
bool names_a_plain_path(const std::string& text) {
    const std::size_t colon = text.find(':');
    return colon == std::string::npos || colon < 2 || text.find('/') < colon;
}

std::string as_text(const Option& option, const Node& node, const std::string& key,
                    const std::string& folder) {
    const auto* value = std::get_if<std::string>(&node.value);
    if (value == nullptr) wrong_type(option, node, key);
    check_allowed(option, *value, node.where, key);
    if (option.path == PathRule::relative_to_config && !value->empty() && names_a_plain_path(*value)) {
        return (std::filesystem::path(folder) / *value).lexically_normal().string();
    }
    return *value;
}

template <typename Item, typename Convert>
std::vector<Item> as_list(const Option& option, const Node& node, const std::string& key,
                          const Convert& convert_item) {
    const auto* array = std::get_if<Node::Array>(&node.value);
    if (array == nullptr) wrong_type(option, node, key);
    if (option.length && array->size() != *option.length) {
        throw Error(ExitCode::config_invalid, 505,
                    fmt::format("{}: {} must have {} values, but has {}.", node.where, key, *option.length,
                                array->size()),
                    fmt::format("It means: {}.", option.help));
    }
    std::vector<Item> items;
    for (std::size_t i = 0; i < array->size(); ++i) {
        items.push_back(convert_item((*array)[i], fmt::format("{}[{}]", key, i)));
    }
    return items;
}

std::vector<std::int64_t> as_integers(const Option& option, const Node& node, const std::string& key) {
    auto items = as_list<std::int64_t>(option, node, key, [&](const Node& item, const std::string& item_key) {
        return as_integer(option, item, item_key);
    });
    if (!option.distinct) return items;
    std::set<std::int64_t> seen;
    for (const std::int64_t item : items) {
        if (seen.insert(item).second) continue;
        throw Error(ExitCode::config_invalid, 508, fmt::format("{}: {} has {} twice.", node.where, key, item),
                    "Name each once.");
    }
    return items;
}

std::int64_t integer_key(const Option& option, const std::string& text, const Node& node,
                         const std::string& key) {
    std::int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) {
        throw Error(ExitCode::config_invalid, 503,
                    fmt::format("{}: the key \"{}\" in {} must be an integer.", node.where, text, key),
                    fmt::format("It means: {}.", option.help));
    }
    return value;
}

}  // namespace

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
    const auto candidate = nearest(word, candidates);
    return candidate ? fmt::format("Did you mean \"{}\"?", *candidate) : "";
}

Value convert(const Option& option, const Node& node, const std::string& key, const std::string& folder) {
    switch (option.kind) {
        case ValueKind::boolean: {
            const auto* value = std::get_if<bool>(&node.value);
            if (value == nullptr) wrong_type(option, node, key);
            return *value;
        }
        case ValueKind::integer:
            return as_integer(option, node, key);
        case ValueKind::real:
            return as_real(option, node, key);
        case ValueKind::text:
            return as_text(option, node, key, folder);
        case ValueKind::integers:
            return as_integers(option, node, key);
        case ValueKind::reals:
            return as_list<double>(option, node, key, [&](const Node& item, const std::string& item_key) {
                return as_real(option, item, item_key);
            });
        case ValueKind::texts:
            // One file needs no brackets: files = "dsm.tif".
            if (std::holds_alternative<std::string>(node.value)) {
                return std::vector<std::string>{as_text(option, node, key, folder)};
            }
            return as_list<std::string>(option, node, key,
                                        [&](const Node& item, const std::string& item_key) {
                                            return as_text(option, item, item_key, folder);
                                        });
        case ValueKind::integer_map: {
            const auto* table = std::get_if<Node::Table>(&node.value);
            if (table == nullptr) wrong_type(option, node, key);
            std::map<std::int64_t, std::int64_t> values;
            for (const auto& [name, item] : *table) {
                values[integer_key(option, name, item, key)] = as_integer(option, item, key + "." + name);
            }
            return values;
        }
        case ValueKind::text_map: {
            const auto* table = std::get_if<Node::Table>(&node.value);
            if (table == nullptr) wrong_type(option, node, key);
            std::map<std::string, std::string> values;
            for (const auto& [name, item] : *table) {
                values[name] = as_text(option, item, key + "." + toml_key(name), folder);
            }
            return values;
        }
    }
    TERRANE_ASSERT(false, "option {} has an unknown kind", key);
    return {};
}

}  // namespace terrane::config
