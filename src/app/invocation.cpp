#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "app/verb.hpp"

namespace terrane::app {

namespace {

template <typename Number>
Number parse_number(const std::string& option, const std::string& text, std::string_view what) {
    Number value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) {
        throw Error(ExitCode::usage, 103,
                    fmt::format("--{} takes {}, but was given \"{}\".", option, what, text));
    }
    return value;
}

}  // namespace

Invocation::Invocation(const Verb& verb, Parsed parsed, config::Resolved resolved, comm::World& world,
                       comm::CoreShare cores)
    : verb_(verb),
      parsed_(std::move(parsed)),
      resolved_(std::move(resolved)),
      world_(world),
      cores_(std::move(cores)) {}

std::string Invocation::command_text() const {
    return fmt::format("{}", fmt::join(parsed_.command, " "));
}

bool Invocation::has(const std::string& option) const {
    return parsed_.values.contains(option);
}

std::string Invocation::text(const std::string& option, const std::string& fallback) const {
    const auto found = parsed_.values.find(option);
    return found == parsed_.values.end() ? fallback : found->second.back();
}

std::int64_t Invocation::integer(const std::string& option, std::int64_t fallback) const {
    return has(option) ? parse_number<std::int64_t>(option, text(option), "an integer") : fallback;
}

double Invocation::real(const std::string& option, double fallback) const {
    return has(option) ? parse_number<double>(option, text(option), "a number") : fallback;
}

std::vector<std::string> Invocation::list(const std::string& option) const {
    const auto found = parsed_.values.find(option);
    return found == parsed_.values.end() ? std::vector<std::string>{} : found->second;
}

}  // namespace terrane::app
