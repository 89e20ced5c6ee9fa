#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"

/// The option registry: the one place that maps keys such as "train.global_batch" to the members of Config,
/// with type, allowed values, unit and help. Reading, checking, printing, the schema, the documentation,
/// shell completion and the named command-line options are generated from it; defaults come from the structs
/// themselves.
namespace terrane::config {

/// Same order as Value's alternatives.
enum class ValueKind { boolean, integer, real, text, integers, reals, texts, integer_map, text_map };

using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                           std::vector<double>, std::vector<std::string>,
                           std::map<std::int64_t, std::int64_t>, std::map<std::string, std::string>>;

/// A bound of a number; an `open` bound is not itself allowed.
struct Bound {
    double value = 0;
    bool open = false;
};

enum class Presence {
    has_default,  ///< the struct's initial value holds if the key is absent
    required,     ///< must be given in every entry of its list
    optional,     ///< absent means "not set" (std::optional)
};

enum class PathRule {
    plain,               ///< not a file name, or one relative to the working folder
    relative_to_config,  ///< file names made absolute, starting at the folder of the config file
};

/// One key of a table, bound to a member of the table's struct.
struct Option {
    std::string key;
    ValueKind kind = ValueKind::text;
    std::string help;
    std::string unit;
    std::optional<Bound> low;
    std::optional<Bound> high;
    std::vector<std::string> allowed;   ///< of a text, or of each text of a list or map value; empty: any
    std::optional<std::size_t> length;  ///< of an array; empty: any
    bool distinct = false;              ///< no value of an array of integers occurs twice
    Presence presence = Presence::has_default;
    PathRule path = PathRule::plain;
    bool command_line_only = false;  ///< not accepted in files and not printed (runtime.out ...)

    std::function<std::optional<Value>(const void* table)> get;
    std::function<void(void* table, const Value& value)> set;
};

enum class Repetition { single, list };

/// A TOML table ([grid]) or array of tables ([[modality]]) and its place in the parent's struct.
struct Table {
    std::string key;
    std::string help;
    Repetition repetition = Repetition::single;
    bool named =
        false;  ///< a list whose entries have a unique `name`: modality.dsm.files addresses one of them
    std::vector<Option> options;
    std::vector<Table> tables;

    std::function<void*(void* parent)> member;                       ///< single
    std::function<std::size_t(const void* parent)> count;            ///< list
    std::function<void(void* parent, std::size_t entries)> restart;  ///< list: that many default entries
    std::function<void*(void* parent, std::size_t index)> entry;     ///< list
};

/// The root table, bound to Config.
const Table& registry();

/// The option of a dotted key such as "train.global_batch", list indices left out; null if there is none.
const Option* find_option(const std::string& key);

/// Every key of the registry with its dots ("modality.files"), in registry order.
std::vector<std::string> all_keys();

}  // namespace terrane::config
