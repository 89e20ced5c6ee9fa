#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "config/registry.hpp"

/// The notation in which the tables are written: table<Grid>("grid", "help").option("tile", &Grid::tile,
/// "help").
namespace terrane::config::builder {

template <typename T>
struct Binding;  // member type -> ValueKind and conversions; only the types below are configuration values

template <typename T, ValueKind kind_of_value>
struct DirectBinding {
    static constexpr ValueKind kind = kind_of_value;
    static std::optional<Value> get(const T& member) { return Value(member); }
    static void set(T& member, const Value& value) { member = std::get<T>(value); }
};
template <>
struct Binding<bool> : DirectBinding<bool, ValueKind::boolean> {};
template <>
struct Binding<std::int64_t> : DirectBinding<std::int64_t, ValueKind::integer> {};
template <>
struct Binding<double> : DirectBinding<double, ValueKind::real> {};
template <>
struct Binding<std::string> : DirectBinding<std::string, ValueKind::text> {};
template <>
struct Binding<std::vector<std::int64_t>> : DirectBinding<std::vector<std::int64_t>, ValueKind::integers> {};
template <>
struct Binding<std::vector<double>> : DirectBinding<std::vector<double>, ValueKind::reals> {};
template <>
struct Binding<std::vector<std::string>> : DirectBinding<std::vector<std::string>, ValueKind::texts> {};
template <>
struct Binding<std::map<std::int64_t, std::int64_t>>
    : DirectBinding<std::map<std::int64_t, std::int64_t>, ValueKind::integer_map> {};
template <>
struct Binding<std::map<std::string, std::string>>
    : DirectBinding<std::map<std::string, std::string>, ValueKind::text_map> {};

template <>
struct Binding<std::uint64_t> {
    static constexpr ValueKind kind = ValueKind::integer;
    static std::optional<Value> get(std::uint64_t member) { return Value(static_cast<std::int64_t>(member)); }
    static void set(std::uint64_t& member, const Value& value) {
        member = static_cast<std::uint64_t>(std::get<std::int64_t>(value));
    }
};

template <>
struct Binding<std::optional<double>> {
    static constexpr ValueKind kind = ValueKind::real;
    static std::optional<Value> get(const std::optional<double>& member) {
        return member ? std::optional<Value>(*member) : std::nullopt;
    }
    static void set(std::optional<double>& member, const Value& value) { member = std::get<double>(value); }
};

template <std::size_t length>
struct Binding<std::array<double, length>> {
    static constexpr ValueKind kind = ValueKind::reals;
    static std::optional<Value> get(const std::array<double, length>& member) {
        return Value(std::vector<double>(member.begin(), member.end()));
    }
    static void set(std::array<double, length>& member, const Value& value) {
        const auto& items = std::get<std::vector<double>>(value);
        TERRANE_ASSERT(items.size() == length, "{} values for an array of {}", items.size(), length);
        for (std::size_t i = 0; i < length; ++i) member[i] = items[i];
    }
};

template <std::size_t length>
struct Binding<std::array<int, length>> {
    static constexpr ValueKind kind = ValueKind::integers;
    static std::optional<Value> get(const std::array<int, length>& member) {
        return Value(std::vector<std::int64_t>(member.begin(), member.end()));
    }
    static void set(std::array<int, length>& member, const Value& value) {
        const auto& items = std::get<std::vector<std::int64_t>>(value);
        TERRANE_ASSERT(items.size() == length, "{} values for an array of {}", items.size(), length);
        for (std::size_t i = 0; i < length; ++i) member[i] = static_cast<int>(items[i]);
    }
};

template <typename T>
struct fixed_length : std::integral_constant<std::size_t, 0> {};
template <typename T, std::size_t length>
struct fixed_length<std::array<T, length>> : std::integral_constant<std::size_t, length> {};

/// Builds the table of struct S. The modifiers (unit, at_least ...) apply to the option added last.
template <typename S>
class TableOf {
  public:
    TableOf(std::string key, std::string help) {
        table_.key = std::move(key);
        table_.help = std::move(help);
    }

    template <typename T>
    TableOf& option(std::string key, T S::*member, std::string help) {
        Option option;
        option.key = std::move(key);
        option.kind = Binding<T>::kind;
        option.help = std::move(help);
        if constexpr (fixed_length<T>::value > 0) option.length = fixed_length<T>::value;
        if constexpr (std::is_same_v<T, std::optional<double>>) option.presence = Presence::optional;
        option.get = [member](const void* table) {
            return Binding<T>::get(static_cast<const S*>(table)->*member);
        };
        option.set = [member](void* table, const Value& value) {
            Binding<T>::set(static_cast<S*>(table)->*member, value);
        };
        table_.options.push_back(std::move(option));
        return *this;
    }

    TableOf& unit(std::string text) { return last().unit = std::move(text), *this; }
    TableOf& at_least(double low) { return last().low = Bound{low, false}, *this; }
    TableOf& above(double low) { return last().low = Bound{low, true}, *this; }
    TableOf& at_most(double high) { return last().high = Bound{high, false}, *this; }
    TableOf& below(double high) { return last().high = Bound{high, true}, *this; }
    TableOf& one_of(std::vector<std::string> allowed) { return last().allowed = std::move(allowed), *this; }
    TableOf& length(std::size_t items) { return last().length = items, *this; }
    TableOf& distinct() { return last().distinct = true, *this; }
    TableOf& required() { return last().presence = Presence::required, *this; }
    TableOf& path() { return last().path = PathRule::relative_to_config, *this; }
    TableOf& command_line_only() { return last().command_line_only = true, *this; }

    template <typename Child>
    TableOf& table(Child S::*member, TableOf<Child> child) {
        Table made = std::move(child).take();
        made.member = [member](void* parent) -> void* { return &(static_cast<S*>(parent)->*member); };
        table_.tables.push_back(std::move(made));
        return *this;
    }

    enum class Entries { by_index, by_name };

    template <typename Child>
    TableOf& list(std::vector<Child> S::*member, TableOf<Child> child, Entries addressed) {
        Table made = std::move(child).take();
        made.repetition = Repetition::list;
        made.named = addressed == Entries::by_name;
        made.count = [member](const void* parent) { return (static_cast<const S*>(parent)->*member).size(); };
        made.restart = [member](void* parent, std::size_t entries) {
            (static_cast<S*>(parent)->*member) = std::vector<Child>(entries);
        };
        made.entry = [member](void* parent, std::size_t index) -> void* {
            return &(static_cast<S*>(parent)->*member).at(index);
        };
        table_.tables.push_back(std::move(made));
        return *this;
    }

    Table take() && { return std::move(table_); }

  private:
    Option& last() { return table_.options.back(); }

    Table table_;
};

}  // namespace terrane::config::builder
