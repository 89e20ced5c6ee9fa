#include "app/launch_options.hpp"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <map>
#include <set>

#include "base/error.hpp"

namespace terrane::app {

std::chrono::duration<double> collective_timeout(const config::Resolved& resolved,
                                                 const comm::Environment& environment) {
    const std::chrono::duration<double> own(resolved.config.runtime.collective_timeout);
    if (resolved.sources.contains("runtime.collective_timeout")) return own;
    const auto text = environment("NCCL_TIMEOUT");
    if (!text) return own;
    double seconds = 0;
    const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), seconds);
    if (failure != std::errc{} || end != text->data() + text->size() || !(seconds > 0) || seconds > 1e7) {
        throw Error(ExitCode::device_unavailable, 123,
                    fmt::format("the variable NCCL_TIMEOUT is \"{}\", which is no number of seconds.", *text),
                    "Unset it, or set --collective-timeout.");
    }
    return std::chrono::duration<double>(seconds);
}

std::string dist_debug(const config::Resolved& resolved, const comm::Environment& environment) {
    const std::string& own = resolved.config.runtime.dist_debug;
    if (resolved.sources.contains("runtime.dist_debug")) return own;
    std::string text = environment("TORCH_DISTRIBUTED_DEBUG").value_or(own);
    for (char& letter : text) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    // PyTorch's variable: what it doesn't know there is not for us to refuse.
    return text == "info" || text == "detail" ? text : "off";
}

namespace {

// What concerns the launch alone is no key of the configuration; empty: not given.
std::string given(const Command& command, const std::string& option) {
    const auto found = command.parsed.values.find(option);
    return found == command.parsed.values.end() ? std::string() : found->second.front();
}

int number(const std::string& option, const std::string& text, int least) {
    int value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure == std::errc{} && end == text.data() + text.size() && value >= least) return value;
    throw Error(ExitCode::usage, 103,
                fmt::format("--{} takes a number from {}, but was given \"{}\".", option, least, text),
                "Leave it out: the launcher's variables say it.");
}

comm::LossResponse on_loss(const std::string& mode, const comm::Environment& environment) {
    static const std::map<std::string, comm::LossResponse> modes{
        {"off", comm::LossResponse::none},
        {"abort-and-exit", comm::LossResponse::abort_and_exit},
        {"abort", comm::LossResponse::abort},
        {"exit", comm::LossResponse::exit}};
    if (!mode.empty()) {
        const auto known = modes.find(mode);
        if (known != modes.end()) return known->second;
        throw Error(ExitCode::usage, 103,
                    fmt::format("--async-errors takes a mode, but was given \"{}\".", mode),
                    "Choose one of: off, abort-and-exit, abort, exit.");
    }
    for (const char* name : {"TORCH_NCCL_ASYNC_ERROR_HANDLING", "NCCL_ASYNC_ERROR_HANDLING"}) {
        const auto text = environment(name);
        if (!text) continue;
        if (text->size() != 1 || (*text)[0] < '0' || (*text)[0] > '3') {
            throw Error(
                ExitCode::device_unavailable, 123,
                fmt::format("the variable {} is \"{}\", but 0, 1, 2 and 3 have a meaning.", name, *text),
                "Unset it, or give --async-errors.");
        }
        return static_cast<comm::LossResponse>((*text)[0] - '0');
    }
    return comm::LossResponse::abort_and_exit;
}

}  // namespace

LaunchOptions launch_options(const Command& command, const comm::Environment& environment) {
    const std::set<std::string> known{"runtime.launcher",          "runtime.master_port",
                                      "runtime.dist_url",          "runtime.collective_timeout",
                                      "runtime.heartbeat_timeout", "runtime.dist_debug"};
    std::vector<config::Assignment> named, sets;
    for (const config::Assignment& one : command.named) {
        if (known.contains(one.key)) named.push_back(one);
    }
    for (const config::Assignment& one : command.sets) {
        if (known.contains(one.key)) sets.push_back(one);
    }
    const config::Resolved resolved = config::resolve({}, named, sets);
    const config::Runtime& runtime = resolved.config.runtime;
    LaunchOptions options;
    options.request = {.launcher = runtime.launcher,
                       .master_port = static_cast<int>(runtime.master_port),
                       .dist_url = runtime.dist_url,
                       .distributed = command.parsed.values.contains("distributed")};
    if (const std::string size = given(command, "world-size"); command.parsed.values.contains("world-size"))
        options.request.world_size = number("world-size", size, 1);
    if (command.local_rank) options.request.local_rank = number("local-rank", *command.local_rank, -1);
    options.settings.collective_timeout = collective_timeout(resolved, environment);
    options.settings.heartbeat_timeout = std::chrono::duration<double>(runtime.heartbeat_timeout);
    options.settings.check_collectives = dist_debug(resolved, environment) == "detail";
    options.settings.on_loss = on_loss(given(command, "async-errors"), environment);
    options.settings.trace_collectives = command.parsed.values.contains("trace-barriers");
    return options;
}

}  // namespace terrane::app
