#include <fmt/format.h>

#include <cstdio>

#include "app/output.hpp"
#include "app/verb.hpp"
#include "config/check.hpp"
#include "config/print.hpp"
#include "nets/network.hpp"

namespace terrane::app {

namespace {

ExitCode run_config_check(Invocation& invocation) {
    const config::Config& config = invocation.config();
    print_line(fmt::format("ok: {} modalities, {} classes, tile {}, model {}, identity {}",
                           config.modalities.size(), config.classes.size(), config.grid.tile,
                           config.model.name, config::identity_hash(config).substr(0, 12)));
    return ExitCode::done;
}

ExitCode run_config_print(Invocation& invocation) {
    const bool sources = invocation.has("sources");
    config::Resolved effective = invocation.resolved();
    effective.config.model = nets::completed(effective.config.model);
    print_text(
        config::print_toml(effective, sources ? config::SourceComments::on : config::SourceComments::off));
    return ExitCode::done;
}

std::string shown(const std::string& value, const std::string& source) {
    return value.empty() ? "absent" : fmt::format("{} ({})", value, source);
}

ExitCode run_config_diff(Invocation& invocation) {
    if (invocation.positional().empty()) {
        throw Error(ExitCode::usage, 105, "'terrane config diff' needs a configuration to compare with.",
                    "Example: terrane config diff -c my.toml runs/first/config.toml.");
    }
    const auto completed = [](config::Resolved resolved) {
        resolved.config.model = nets::completed(resolved.config.model);
        return resolved;
    };
    const std::vector<config::Difference> differences = config::differences(
        completed(invocation.resolved()),
        completed(config::resolve(config::read_config_files(invocation.positional()), {}, {})));
    for (const config::Difference& one : differences) {
        print_line(fmt::format("{}: {} -> {}", one.key, shown(one.left, one.left_source),
                               shown(one.right, one.right_source)));
    }
    if (differences.empty()) print_line("no difference");
    return ExitCode::done;
}

ExitCode run_config_schema(Invocation& invocation) {
    const std::string format = invocation.text("format", "json");
    if (format == "json") {
        print_text(config::json_schema());
    } else if (format == "markdown") {
        print_text(config::markdown_reference());
    } else {
        throw Error(ExitCode::usage, 103,
                    fmt::format("--format takes json or markdown, but was given \"{}\".", format));
    }
    return ExitCode::done;
}

}  // namespace

extern const Verb config_check_verb{"config check",
                                    "check a configuration and say what it holds",
                                    Ranks::local,
                                    ConfigNeed::required,
                                    "",
                                    {},
                                    run_config_check};

extern const Verb config_print_verb{
    "config print",
    "print the effective configuration",
    Ranks::local,
    ConfigNeed::optional,
    "",
    {{"sources", Argument::none, "", "add where each value came from", '\0', "", false}},
    run_config_print};

extern const Verb config_diff_verb{
    "config diff",  "compare the effective configuration with that of other files",
    Ranks::local,   ConfigNeed::optional,
    "FILE",         {},
    run_config_diff};

extern const Verb config_schema_verb{
    "config schema",
    "print the JSON schema, or the reference in Markdown",
    Ranks::local,
    ConfigNeed::none,
    "",
    {{"format", Argument::one, "FORMAT", "json or markdown", '\0', "", false}},
    run_config_schema};

}  // namespace terrane::app
