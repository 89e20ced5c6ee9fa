#include "config/print.hpp"

#include <fmt/format.h>

#include <map>

#include "base/hash.hpp"
#include "config/node.hpp"
#include "config/registry.hpp"

namespace terrane::config {

namespace {

template <typename Items, typename Format>
std::string bracketed(const Items& items, const Format& format) {
    std::string text = "[";
    for (const auto& item : items) text += (text.size() > 1 ? ", " : "") + format(item);
    return text + "]";
}

std::string literal(const Value& value) {
    struct {
        std::string operator()(bool item) const { return item ? "true" : "false"; }
        std::string operator()(std::int64_t item) const { return fmt::format("{}", item); }
        std::string operator()(double item) const { return toml_real(item); }
        std::string operator()(const std::string& item) const { return toml_string(item); }
        std::string operator()(const std::vector<std::int64_t>& items) const {
            return bracketed(items, [](std::int64_t item) { return fmt::format("{}", item); });
        }
        std::string operator()(const std::vector<double>& items) const { return bracketed(items, toml_real); }
        std::string operator()(const std::vector<std::string>& items) const {
            return bracketed(items, toml_string);
        }
        std::string operator()(const std::map<std::int64_t, std::int64_t>& items) const {
            std::string text;
            for (const auto& [key, item] : items)
                text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", key, item);
            return "{" + text + "}";
        }
        std::string operator()(const std::map<std::string, std::string>& items) const {
            std::string text;
            for (const auto& [key, item] : items) {
                text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", toml_key(key), toml_string(item));
            }
            return "{" + text + "}";
        }
    } visitor;
    return std::visit(visitor, value);
}

struct Printer {
    const Resolved& resolved;
    SourceComments comments;
    std::string text;

    void options(const Table& table, const void* object, const std::string& key) {
        for (const Option& option : table.options) {
            if (option.command_line_only) continue;
            const auto value = option.get(object);
            if (!value) continue;
            std::string line = fmt::format("{} = {}", option.key, literal(*value));
            if (comments == SourceComments::on) {
                const std::string full = key.empty() ? option.key : key + "." + option.key;
                line = fmt::format("{:<44}  # {}", line, resolved.source_of(full));
            }
            text += line + "\n";
        }
    }

    // `key` addresses the object with indices, `header` is the TOML header without them.
    void table(const Table& table, void* object, const std::string& key, const std::string& header) {
        options(table, object, key);
        for (const Table& child : table.tables) {
            if (child.repetition == Repetition::list && child.count(object) == 0)
                text += child.key + " = []\n";
        }
        for (const Table& child : table.tables) {
            const std::string child_key = key.empty() ? child.key : key + "." + child.key;
            const std::string child_header = header.empty() ? child.key : header + "." + child.key;
            if (child.repetition == Repetition::single) {
                text += fmt::format("\n[{}]\n", child_header);
                this->table(child, child.member(object), child_key, child_header);
                continue;
            }
            for (std::size_t i = 0; i < child.count(object); ++i) {
                text += fmt::format("\n[[{}]]\n", child_header);
                this->table(child, child.entry(object, i), fmt::format("{}[{}]", child_key, i), child_header);
            }
        }
    }
};

struct Entry {
    std::string key, value, source;
};

/// Every key with its value, entries of lists by their index.
void flatten(const Table& table, void* object, const std::string& key, const Resolved& resolved,
             std::vector<Entry>& entries) {
    for (const Option& option : table.options) {
        const auto value = option.get(object);
        const std::string full = key.empty() ? option.key : key + "." + option.key;
        if (value) entries.push_back({full, literal(*value), resolved.source_of(full)});
    }
    for (const Table& child : table.tables) {
        const std::string child_key = key.empty() ? child.key : key + "." + child.key;
        if (child.repetition == Repetition::single) {
            flatten(child, child.member(object), child_key, resolved, entries);
            continue;
        }
        for (std::size_t i = 0; i < child.count(object); ++i)
            flatten(child, child.entry(object, i), fmt::format("{}[{}]", child_key, i), resolved, entries);
    }
}

std::vector<Entry> entries_of(const Resolved& resolved) {
    Config copy = resolved.config;  // the registry hands out mutable members only
    std::vector<Entry> entries;
    flatten(registry(), &copy, "", resolved, entries);
    return entries;
}

}  // namespace

std::vector<Difference> differences(const Resolved& left, const Resolved& right) {
    std::map<std::string, Entry> of_right;
    const std::vector<Entry> in_order = entries_of(right);
    for (const Entry& entry : in_order) of_right.emplace(entry.key, entry);
    std::vector<Difference> found;
    for (const Entry& entry : entries_of(left)) {
        const auto node = of_right.extract(entry.key);
        if (node.empty()) {
            found.push_back({entry.key, entry.value, entry.source, "", ""});
        } else if (node.mapped().value != entry.value) {
            found.push_back(
                {entry.key, entry.value, entry.source, node.mapped().value, node.mapped().source});
        }
    }
    for (const Entry& entry : in_order) {
        if (of_right.contains(entry.key)) found.push_back({entry.key, "", "", entry.value, entry.source});
    }
    return found;
}

std::string print_toml(const Resolved& resolved, SourceComments comments) {
    Config copy = resolved.config;  // the registry hands out mutable members only
    Printer printer{resolved, comments, {}};
    printer.table(registry(), &copy, "", "");
    return printer.text;
}

std::string identity_hash(const Config& config) {
    Resolved resolved;
    resolved.config = config;
    const std::uint64_t seed = config.runtime.seed;
    resolved.config.runtime = Runtime{};
    resolved.config.report = Report{};
    resolved.config.runtime.seed = seed;
    return sha256(print_toml(resolved, SourceComments::off));
}

}  // namespace terrane::config
