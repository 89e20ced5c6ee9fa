#include "app/start.hpp"

#include <omp.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "app/launch_options.hpp"
#include "app/read_watch.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "config/check.hpp"
#include "config/print.hpp"

namespace terrane::app {

namespace {

using Json = nlohmann::json;

// Rank 0's files, or the error that reading them gave, as one text for the broadcast.
std::string read_on_first_rank(const std::vector<std::string>& paths) {
    Json message;
    try {
        for (const config::ConfigText& file : config::read_config_files(paths)) {
            // Bytes that are no UTF-8 could not travel as JSON strings.
            message["files"].push_back(
                {{"name", file.name},
                 {"folder", file.folder},
                 {"content", std::vector<std::uint8_t>(file.content.begin(), file.content.end())}});
        }
    } catch (const Error& error) {
        message["error"] = {{"exit_code", static_cast<int>(error.exit_code())},
                            {"number", error.number()},
                            {"message", error.message()},
                            {"fix", error.fix()}};
    }
    return message.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<config::ConfigText> unpack(const std::string& text) {
    const Json message = Json::parse(text);
    if (message.is_object() && message.contains("error")) {
        const Json& error = message["error"];
        throw Error(static_cast<ExitCode>(error["exit_code"].get<int>()), error["number"].get<int>(),
                    error["message"].get<std::string>(), error["fix"].get<std::string>());
    }
    std::vector<config::ConfigText> files;
    if (message.is_object()) {
        for (const Json& file : message["files"]) {
            const auto bytes = file["content"].get<std::vector<std::uint8_t>>();
            files.push_back({file["name"].get<std::string>(), file["folder"].get<std::string>(),
                             std::string(bytes.begin(), bytes.end())});
        }
    }
    return files;
}

void configure_log(const config::Runtime& runtime, const comm::World& world) {
    log::Settings settings;
    settings.rank = world.rank();
    settings.ranks = world.size();
    settings.format = runtime.log_format == "json" ? log::Format::json : log::Format::text;
    settings.level = runtime.log_level == "debug"     ? log::Level::debug
                     : runtime.log_level == "warning" ? log::Level::warning
                                                      : log::Level::info;
    log::configure(settings);
}

// --smoke: whether everything works at all, with the smallest batches there are. Anything else that is said
// on the command line wins over it; a run that exists is not touched.
std::vector<config::Assignment> smoke_test(int ranks) {
    std::vector<config::Assignment> values{{"train.steps", "100", ""},    {"train.batch", "1", ""},
                                           {"eval.every", "0", ""},       {"eval.every_steps", "0", ""},
                                           {"checkpoint.every", "0", ""}, {"train.resume", "never", ""}};
    values.push_back({"train.global_batch", std::to_string(ranks), ""});
    for (config::Assignment& value : values) value.source = "--smoke";
    return values;
}

}  // namespace

config::Resolved resolve_configuration(const Command& command, comm::World& world) {
    std::string message;
    if (world.rank() == 0) message = read_on_first_rank(command.config_files);
    world.communicator().broadcast(message, 0);
    std::vector<config::Assignment> named;
    if (command.parsed.values.contains("smoke")) named = smoke_test(world.size());
    named.insert(named.end(), command.named.begin(), command.named.end());
    return config::resolve(unpack(message), named, command.sets);
}

int run_command(const Command& command, comm::World& world) {
    // Errors of the configuration itself already come in the form that the command line asks for.
    config::Runtime named;
    for (const config::Assignment& assignment : command.named) {
        if (assignment.key == "runtime.log_format" && assignment.value == "\"json\"")
            named.log_format = "json";
    }
    configure_log(named, world);
    config::Resolved resolved = resolve_configuration(command, world);
    configure_log(resolved.config.runtime, world);
    world.set_collective_timeout(collective_timeout(resolved, comm::environment_variable));
    world.set_heartbeat_timeout(std::chrono::duration<double>(resolved.config.runtime.heartbeat_timeout));
    if (world.size() > 1) {
        std::string fingerprint =
            command.verb->name + "\n" + config::print_toml(resolved, config::SourceComments::off);
        for (const auto& [name, values] : command.parsed.values) {
            for (const std::string& value : values) fingerprint += "--" + name + "\n" + value + "\n";
        }
        for (const std::string& argument : command.parsed.positional) fingerprint += argument + "\n";
        world.require_equal("command or configuration", sha256(fingerprint));
    }
    if (command.verb->config == ConfigNeed::required) config::check(resolved, config::Completeness::whole);
    if (command.verb->config == ConfigNeed::optional) config::check(resolved, config::Completeness::partial);

    comm::CoreShare cores = comm::share_cores(world, static_cast<int>(resolved.config.runtime.threads));
    // How a rank's sums are cut into threads shows in their last bits: their number may not follow from that
    // of the ranks.
    if (resolved.config.runtime.deterministic == "ranks" && resolved.config.runtime.threads == 0)
        cores.threads = 1;
    omp_set_num_threads(cores.threads);

    // A read that never returns holds its thread for good; another one says so and ends the command.
    std::optional<ReadWatch> reads;
    if (world.on_loss() != comm::LossResponse::none) {
        reads.emplace(collective_timeout(resolved, comm::environment_variable),
                      [&world](const Error& error) { end_with(world, error); });
    }

    Invocation invocation(*command.verb, command.parsed, std::move(resolved), world, std::move(cores));
    const ExitCode code = command.verb->run(invocation);
    std::array<std::int64_t, 1> agreed{static_cast<std::int64_t>(code)};
    world.communicator().max(agreed);
    return static_cast<int>(agreed[0]);
}

}  // namespace terrane::app
