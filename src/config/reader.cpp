#include "config/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "config/convert.hpp"

namespace terrane::config {

namespace {

constexpr std::size_t longest_list = 10000;  // entries of an array of tables; more is no configuration

std::vector<std::string> keys_of(const Table& table) {
    std::vector<std::string> keys;
    for (const Option& option : table.options) keys.push_back(option.key);
    for (const Table& child : table.tables) keys.push_back(child.key);
    return keys;
}

std::string without_indices(const std::string& key) {
    std::string result;
    bool inside = false;
    for (const char character : key) {
        if (character == '[') inside = true;
        if (!inside) result += character;
        if (character == ']') inside = false;
    }
    return result;
}

[[noreturn]] void unknown_key(const Table& table, const std::string& prefix, const std::string& key,
                              const std::string& where) {
    const std::string place =
        table.key.empty() ? "the top level" : fmt::format("[{}]", without_indices(prefix));
    std::string fix;
    if (const std::string near = did_you_mean(key, keys_of(table)); !near.empty()) {
        fix = near;
    } else {
        // The right key in the wrong table is the second most frequent slip.
        std::vector<std::string> elsewhere;
        for (const std::string& known : all_keys()) {
            if (known.size() > key.size() && known.ends_with("." + key)) elsewhere.push_back(known);
        }
        fix = !elsewhere.empty() ? fmt::format("Did you mean \"{}\"?", fmt::join(elsewhere, "\" or \""))
                                 : fmt::format("Known there: {}.", fmt::join(keys_of(table), ", "));
    }
    const std::string full = prefix.empty() ? key : prefix + "." + key;
    throw Error(ExitCode::config_invalid, 502,
                fmt::format("{}: unknown key \"{}\" in {}.", where, without_indices(full), place), fix);
}

std::string joined(const std::string& prefix, const std::string& key) {
    return prefix.empty() ? key : prefix + "." + key;
}

[[noreturn]] void not_a_table(const Node& node, const std::string& key, std::string_view expected) {
    throw Error(ExitCode::config_invalid, 503,
                fmt::format("{}: {} must be {}, but is {}.", node.where, key, expected, describe_type(node)));
}

std::string entry_name(const Table& table, void* entry) {
    for (const Option& option : table.options) {
        if (option.key != "name") continue;
        if (const auto name = option.get(entry)) return std::get<std::string>(*name);
    }
    return {};
}

}  // namespace

struct Reader::Target {
    void* object = nullptr;          // the struct that holds the option, or the parent of the list
    const Option* option = nullptr;  // exactly one of option and list is set
    const Table* list = nullptr;
    std::string key;  // with indices instead of names: "modality[1].files"
};

void Reader::read(const Node& document, const std::string& folder) {
    folder_ = folder;
    read_table(registry(), &config_, std::get<Node::Table>(document.value), "");
}

void Reader::read_table(const Table& table, void* object, const Node::Table& entries,
                        const std::string& prefix) {
    for (const Node::Entry& entry : entries) {
        const std::string& key = entry.key;
        const Node& node = entry.node;
        const std::string full = joined(prefix, key);
        const auto option = std::find_if(table.options.begin(), table.options.end(),
                                         [&](const Option& candidate) { return candidate.key == key; });
        if (option != table.options.end()) {
            if (option->command_line_only) {
                throw Error(ExitCode::config_invalid, 502,
                            fmt::format("{}: {} can't be set in a file.", node.where, full),
                            "Give it on the command line.");
            }
            read_option(*option, object, node, full);
            continue;
        }
        const auto child = std::find_if(table.tables.begin(), table.tables.end(),
                                        [&](const Table& candidate) { return candidate.key == key; });
        if (child == table.tables.end()) unknown_key(table, prefix, key, node.where);
        if (child->repetition == Repetition::list) {
            read_list(*child, object, node, full);
        } else {
            const auto* values = std::get_if<Node::Table>(&node.value);
            if (values == nullptr) not_a_table(node, full, fmt::format("a table [{}]", full));
            read_table(*child, child->member(object), *values, full);
        }
    }
}

void Reader::read_list(const Table& table, void* parent, const Node& node, const std::string& key) {
    const std::string expected = fmt::format("an array of tables [[{}]]", without_indices(key));
    const auto* items = std::get_if<Node::Array>(&node.value);
    if (items == nullptr) not_a_table(node, key, expected);
    if (items->size() > longest_list) {
        throw Error(ExitCode::config_invalid, 505,
                    fmt::format("{}: {} has {} entries; at most {} are accepted.", node.where, key,
                                items->size(), longest_list));
    }
    // The list as a whole is replaced, and with it the sources of the entries it had.
    std::erase_if(sources_, [&](const auto& source) { return source.first.starts_with(key + "["); });
    table.restart(parent, items->size());
    for (std::size_t i = 0; i < items->size(); ++i) {
        const Node& item = (*items)[i];
        const std::string entry_key = fmt::format("{}[{}]", key, i);
        const auto* values = std::get_if<Node::Table>(&item.value);
        if (values == nullptr) not_a_table(item, entry_key, "a table");
        for (const Option& option : table.options) {
            if (option.presence != Presence::required) continue;
            const bool given = std::any_of(values->begin(), values->end(),
                                           [&](const auto& value) { return value.key == option.key; });
            if (!given) {
                throw Error(ExitCode::config_invalid, 507,
                            fmt::format("{}: entry {} of [[{}]] has no {}.", item.where, i + 1,
                                        without_indices(key), option.key),
                            fmt::format("Add it; it means: {}.", option.help));
            }
        }
        sources_[entry_key] = item.where;
        read_table(table, table.entry(parent, i), *values, entry_key);
    }
}

void Reader::read_option(const Option& option, void* object, const Node& node, const std::string& key) {
    const Value value = convert(option, node, key, folder_);
    option.set(object, value);
    sources_[key] = node.where;
}

Reader::Target Reader::find(const std::string& key, const std::string& source) {
    const Table* table = &registry();
    void* object = &config_;
    std::string resolved;
    std::size_t start = 0;
    while (start <= key.size()) {
        const std::size_t dot = std::min(key.find('.', start), key.size());
        std::string part = key.substr(start, dot - start);
        const bool last = dot == key.size();
        start = dot + 1;

        std::string index;
        if (const std::size_t bracket = part.find('['); bracket != std::string::npos && part.back() == ']') {
            index = part.substr(bracket + 1, part.size() - bracket - 2);
            part.resize(bracket);
        }
        if (last && index.empty()) {
            for (const Option& option : table->options) {
                if (option.key == part) return {object, &option, nullptr, joined(resolved, part)};
            }
        }
        const auto child = std::find_if(table->tables.begin(), table->tables.end(),
                                        [&](const Table& candidate) { return candidate.key == part; });
        if (child == table->tables.end()) unknown_key(*table, resolved, part, source);
        resolved = joined(resolved, part);
        if (child->repetition == Repetition::single) {
            if (last || !index.empty()) {
                throw Error(ExitCode::config_invalid, 502,
                            fmt::format("{}: \"{}\" is a table, not a value.", source, key),
                            fmt::format("Set one of its keys: {}.", fmt::join(keys_of(*child), ", ")));
            }
            object = child->member(object);
            table = &*child;
            continue;
        }

        if (last && index.empty()) return {object, nullptr, &*child, resolved};
        const std::size_t entries = child->count(object);
        std::size_t chosen = entries;
        if (!index.empty()) {
            const auto [end, failure] = std::from_chars(index.data(), index.data() + index.size(), chosen);
            if (failure != std::errc{} || end != index.data() + index.size()) chosen = entries;
        } else if (child->named) {
            const std::size_t next = std::min(key.find('.', start), key.size());
            index = key.substr(start, next - start);
            start = next + 1;
            for (std::size_t i = 0; i < entries; ++i) {
                if (entry_name(*child, child->entry(object, i)) == index) chosen = i;
            }
        }
        if (chosen >= entries || start > key.size()) {
            std::vector<std::string> names;
            if (child->named) {
                for (std::size_t i = 0; i < entries; ++i)
                    names.push_back(entry_name(*child, child->entry(object, i)));
            }
            throw Error(ExitCode::config_invalid, 502,
                        fmt::format("{}: \"{}\" addresses no value: [[{}]] has {} entries{}{}.", source, key,
                                    without_indices(resolved), entries, names.empty() ? "" : ": ",
                                    fmt::join(names, ", ")),
                        fmt::format("Write {}[0].KEY=VALUE{}.", resolved,
                                    child->named ? fmt::format(" or {}.NAME.KEY=VALUE", resolved) : ""));
        }
        object = child->entry(object, chosen);
        resolved = fmt::format("{}[{}]", resolved, chosen);
        table = &*child;
    }
    TERRANE_ASSERT(false, "key {} was not resolved", key);
    return {};
}

void Reader::assign(const std::string& key, const std::string& literal, const std::string& source,
                    const std::string& folder) {
    folder_ = folder;
    const Target target = find(key, source);
    Node node = parse_toml_literal(literal, source);
    if (target.list != nullptr) {
        read_list(*target.list, target.object, node, target.key);
        return;
    }
    // A text option takes what looks like a number, boolean or date as it stands: -s grid.reference=2020.
    const bool text = target.option->kind == ValueKind::text || target.option->kind == ValueKind::texts;
    const bool scalar =
        !std::holds_alternative<Node::Array>(node.value) && !std::holds_alternative<Node::Table>(node.value);
    if (text && scalar && !std::holds_alternative<std::string>(node.value)) node.value = literal;
    read_option(*target.option, target.object, node, target.key);
}

}  // namespace terrane::config
