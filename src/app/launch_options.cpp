#include "app/launch_options.hpp"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
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
    options.request = {runtime.launcher, static_cast<int>(runtime.master_port), runtime.dist_url};
    options.settings.collective_timeout = collective_timeout(resolved, environment);
    options.settings.heartbeat_timeout = std::chrono::duration<double>(runtime.heartbeat_timeout);
    options.settings.check_collectives = dist_debug(resolved, environment) == "detail";
    return options;
}

}  // namespace terrane::app
