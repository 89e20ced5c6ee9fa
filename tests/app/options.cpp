#include "app/options.hpp"

#include <algorithm>

#include "config/registry.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

std::string usage_error(const std::vector<std::string>& arguments) {
    try {
        app::parse_command_line(arguments);
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::usage);
        return error.what();
    }
    return "";
}

std::string value_of(const app::Command& command, const std::string& key) {
    for (const auto& named : command.named) {
        if (named.key == key) return named.value;
    }
    return "none";
}

}  // namespace

TEST_CASE("usage mistakes are named with a remedy", "[app]") {
    CHECK(usage_error({}) == "error[E0101]: no verb is given. 'terrane --help' lists the verbs.");
    CHECK(usage_error({"doktor"}) == "error[E0101]: \"doktor\" is no verb. Did you mean \"doctor\"?");
    CHECK(usage_error({"config"}) ==
          "error[E0101]: \"config\" needs a second word. Choose one of: check, print, diff, schema.");
    CHECK(usage_error({"config", "prnt"}) ==
          "error[E0101]: \"config prnt\" is no verb. Did you mean \"print\"?");
    CHECK(usage_error({"config", "print", "--source"}) ==
          "error[E0102]: 'terrane config print' has no option --source. Did you mean \"--sources\"?");
    CHECK(usage_error({"config", "print", "--zzzzzzzz"}) ==
          "error[E0102]: 'terrane config print' has no option --zzzzzzzz. 'terrane config print --help' "
          "lists the "
          "options.");
    CHECK_THAT(usage_error({"config", "print", "--seed"}),
               terrane::test::contains("error[E0103]") && terrane::test::contains("--seed"));
    CHECK(usage_error({"config", "print", "--seed", "1", "--seed", "2"}) ==
          "error[E0103]: --seed is given 2 times. Give it once.");
    CHECK(usage_error({"config", "print", "-s", "train.epochs"}) ==
          "error[E0103]: --set takes key=value, but was given \"train.epochs\". Example: -s train.epochs=5");
    CHECK_THAT(usage_error({"config", "print", "--max-time", "12"}),
               terrane::test::contains("--max-time takes H:MM:SS"));
    CHECK_THAT(usage_error({"config", "print", "--max-time", "1:60:00"}),
               terrane::test::contains("--max-time takes H:MM:SS"));
    CHECK(usage_error({"config", "print", "file.toml"}) ==
          "error[E0104]: 'terrane config print' takes no argument \"file.toml\". 'terrane config print "
          "--help' lists "
          "the options.");
    CHECK_THAT(usage_error({"config", "check"}),
               terrane::test::contains("error[E0105]: 'terrane config check' needs a configuration."));
    CHECK_THAT(usage_error({"doctor", "-c", "x.toml"}),
               terrane::test::contains("takes neither -c nor --set"));
}

TEST_CASE("named options become configuration values with their own source", "[app]") {
    const app::Command command =
        app::parse_command_line({"config", "print", "-c", "a.toml", "--config=b.toml", "-s", "train.epochs=5",
                                 "--set=a.b=c=d", "-o", "[odd]name", "--seed=9", "--max-time", "1:02:03",
                                 "-v", "--overwrite", "--deterministic", "--sources", "--gpu-ids", "2,0"});
    CHECK(command.verb->name == "config print");
    CHECK(command.config_files == std::vector<std::string>{"a.toml", "b.toml"});
    REQUIRE(command.sets.size() == 2);
    CHECK(command.sets[0].key == "train.epochs");
    CHECK(command.sets[1].value == "c=d");
    CHECK(value_of(command, "runtime.out") == "\"[odd]name\"");
    CHECK(value_of(command, "runtime.seed") == "9");
    CHECK(value_of(command, "runtime.max_time") == "3723.0");
    CHECK(value_of(command, "runtime.log_level") == "\"debug\"");
    CHECK(value_of(command, "runtime.overwrite") == "true");
    CHECK(value_of(command, "runtime.gpu_ids") == "[2,0]");
    CHECK(value_of(app::parse_command_line({"doctor", "--gpu_ids=[1]"}), "runtime.gpu_ids") == "[1]");
    CHECK(value_of(app::parse_command_line({"doctor", "--gpu-ids", "1,x"}), "runtime.gpu_ids") ==
          "[1,\"x\"]");
    CHECK(value_of(command, "runtime.deterministic") == "\"run\"");
    CHECK(command.parsed.values.contains("sources"));
}

TEST_CASE("help and version win over mistakes that follow from an unfinished command", "[app]") {
    CHECK_THAT(app::parse_command_line({"--help"}).answer, terrane::test::contains("config check"));
    CHECK_THAT(app::parse_command_line({"config", "check", "--help"}).answer,
               terrane::test::contains("usage: terrane config check -c FILE"));
    CHECK(app::parse_command_line({"--version"}).answer.starts_with("terrane "));
}

TEST_CASE("every verb has a unique name and a help that lists its own options", "[app]") {
    std::vector<std::string> names;
    for (const app::Verb* verb : app::verbs()) {
        CHECK(std::find(names.begin(), names.end(), verb->name) == names.end());
        names.push_back(verb->name);
        CHECK(verb->run != nullptr);
        CHECK_FALSE(verb->summary.empty());
        const std::string help = app::help_of(*verb);
        for (const app::VerbOption& option : verb->options) {
            INFO(verb->name << " --" << option.name);
            CHECK_THAT(help, terrane::test::contains("--" + option.name));
            if (!option.key.empty()) CHECK(config::find_option(option.key) != nullptr);
            for (const app::VerbOption& global : app::global_options()) {
                CHECK(option.name != global.name);
                if (option.letter != '\0') CHECK(option.letter != global.letter);
            }
        }
    }
}
