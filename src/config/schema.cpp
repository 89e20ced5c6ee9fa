#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/print.hpp"
#include "config/registry.hpp"

namespace terrane::config {

namespace {

using Json = nlohmann::ordered_json;

void add_range(Json& schema, const Option& option) {
    if (option.low) schema[option.low->open ? "exclusiveMinimum" : "minimum"] = option.low->value;
    if (option.high) schema[option.high->open ? "exclusiveMaximum" : "maximum"] = option.high->value;
}

Json scalar(const Option& option, const char* type) {
    Json schema = {{"type", type}};
    add_range(schema, option);
    if (!option.allowed.empty()) schema["enum"] = option.allowed;
    return schema;
}

Json array(const Option& option, const char* type) {
    Json schema = {{"type", "array"}, {"items", scalar(option, type)}};
    if (option.length) {
        schema["minItems"] = *option.length;
        schema["maxItems"] = *option.length;
    }
    if (option.distinct) schema["uniqueItems"] = true;
    return schema;
}

Json schema_of(const Option& option) {
    switch (option.kind) {
        case ValueKind::boolean:
            return {{"type", "boolean"}};
        case ValueKind::integer:
            return scalar(option, "integer");
        case ValueKind::real:
            return scalar(option, "number");
        case ValueKind::text:
            return scalar(option, "string");
        case ValueKind::integers:
            return array(option, "integer");
        case ValueKind::reals:
            return array(option, "number");
        case ValueKind::texts:
            return {{"anyOf", {scalar(option, "string"), array(option, "string")}}};
        case ValueKind::integer_map:
            return {{"type", "object"}, {"additionalProperties", scalar(option, "integer")}};
        case ValueKind::text_map:
            return {{"type", "object"}, {"additionalProperties", scalar(option, "string")}};
    }
    return {};
}

Json to_json(const Value& value) {
    return std::visit(
        [](const auto& item) {
            if constexpr (std::is_same_v<decltype(item), const std::map<std::int64_t, std::int64_t>&>) {
                Json object = Json::object();  // JSON's keys are texts
                for (const auto& [key, entry] : item) object[std::to_string(key)] = entry;
                return object;
            } else {
                return Json(item);
            }
        },
        value);
}

// A default-constructed struct of the table, found by making a one-entry list where the table is a list.
Json schema_of(const Table& table, void* object) {
    Json properties = Json::object();
    Json required = Json::array();
    for (const Option& option : table.options) {
        if (option.command_line_only) continue;
        Json schema = schema_of(option);
        schema["description"] =
            option.unit.empty() ? option.help : fmt::format("{} [{}]", option.help, option.unit);
        if (option.presence == Presence::required) {
            required.push_back(option.key);
        } else if (const auto value = option.get(object)) {
            schema["default"] = to_json(*value);
        }
        properties[option.key] = std::move(schema);
    }
    for (const Table& child : table.tables) {
        Json schema;
        if (child.repetition == Repetition::list) {
            child.restart(object, 1);
            schema = {{"type", "array"}, {"items", schema_of(child, child.entry(object, 0))}};
        } else {
            schema = schema_of(child, child.member(object));
        }
        schema["description"] = child.help;
        properties[child.key] = std::move(schema);
    }
    Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = required;
    return schema;
}

std::string type_text(const Option& option) {
    switch (option.kind) {
        case ValueKind::boolean:
            return "boolean";
        case ValueKind::integer:
            return "integer";
        case ValueKind::real:
            return "number";
        case ValueKind::text:
            return "text";
        case ValueKind::integers:
            return "integers";
        case ValueKind::reals:
            return "numbers";
        case ValueKind::texts:
            return "texts";
        case ValueKind::integer_map:
            return "integer = integer";
        case ValueKind::text_map:
            return "text = text";
    }
    return "?";
}

std::string range_text(const Option& option) {
    if (!option.allowed.empty()) return fmt::format("{}", fmt::join(option.allowed, ", "));
    std::string text;
    if (option.low) text += fmt::format("{} {}", option.low->open ? ">" : "≥", option.low->value);
    if (option.high)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", option.high->open ? "<" : "≤",
                            option.high->value);
    if (option.length) text += fmt::format("{}{} values", text.empty() ? "" : ", ", *option.length);
    return text;
}

void add_markdown(const Table& table, void* object, const std::string& header, std::string& text) {
    std::string rows;
    for (const Option& option : table.options) {
        std::string initial = "required";
        if (option.presence != Presence::required) {
            const auto value = option.get(object);
            initial = value ? fmt::format("`{}`", to_json(*value).dump()) : "not set";
        }
        if (option.command_line_only) initial = "command line only";
        const std::string unit = option.unit.empty() ? "" : fmt::format(" [{}]", option.unit);
        rows += fmt::format("| `{}` | {} | {} | {} | {}{} |\n", option.key, type_text(option), initial,
                            range_text(option), option.help, unit);
    }
    if (!header.empty()) {
        const bool list = table.repetition == Repetition::list;
        text += fmt::format("\n## {}{}{}\n\n{}\n", list ? "[[" : "[", header, list ? "]]" : "]", table.help);
    }
    text += "\n| key | type | default | allowed | meaning [unit] |\n|---|---|---|---|---|\n" + rows;
    for (const Table& child : table.tables) {
        const std::string child_header = header.empty() ? child.key : header + "." + child.key;
        if (child.repetition == Repetition::list) {
            child.restart(object, 1);
            add_markdown(child, child.entry(object, 0), child_header, text);
        } else {
            add_markdown(child, child.member(object), child_header, text);
        }
    }
}

}  // namespace

std::string json_schema() {
    Config config;
    Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                   {"title", "terrane configuration"}};
    schema.update(schema_of(registry(), &config));
    return schema.dump(2) + "\n";
}

std::string markdown_reference() {
    Config config;
    std::string text =
        "# Configuration\n\n"
        "Generated by `terrane config schema --format markdown` from the option registry; a test keeps it "
        "current.\n"
        "Files are TOML. Values come, in rising precedence, from the defaults below, the `-c` files in "
        "order, named\n"
        "options of the command line and `-s key=value`, where `key` is written with its table\n"
        "(`train.epochs`, `modality.dsm.files`, `modality[1].scale`). `terrane config print -c FILE` shows "
        "the result.\n"
        "File names of rasters and polygons start at the folder of the config file, those given by `-s` at "
        "the\n"
        "working folder.\n";
    add_markdown(registry(), &config, "", text);
    return text;
}

}  // namespace terrane::config
