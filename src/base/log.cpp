#include "base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/error.hpp"
#include "base/printable.hpp"

namespace terrane::log {

namespace {

Settings current;

spdlog::logger& logger() {
    static const auto instance = [] {
        auto made = std::make_shared<spdlog::logger>("terrane", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%v");
        made->flush_on(spdlog::level::trace);
        made->set_level(spdlog::level::trace);
        return made;
    }();
    return *instance;
}

std::string escaped_for_json(const std::string& text) {
    std::string result;
    for (const char character : text) {
        if (character == '"' || character == '\\') {
            result += '\\';
            result += character;
        } else if (static_cast<unsigned char>(character) < 0x20) {
            result += fmt::format("\\u{:04x}", static_cast<unsigned>(character));
        } else {
            result += character;
        }
    }
    return result;
}

const char* name_of(Level level) {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warning: return "warning";
        case Level::error: return "error";
    }
    return "?";
}

enum class Speakers { first_rank_of_info, every_rank };

void write_message(Level level, const std::string& message, Speakers speakers) {
    if (level < current.level) return;
    const bool everyone = speakers == Speakers::every_rank || level >= Level::warning;
    if (current.rank != 0 && !everyone) return;
    std::string text;
    if (current.format == Format::json) {
        text = fmt::format(R"({{"level":"{}","rank":{},"message":"{}"}})", name_of(level), current.rank,
                           escaped_for_json(message));
    } else {
        const std::string rank = current.ranks > 1 && everyone ? fmt::format("[rank {}] ", current.rank) : "";
        const std::string kind = level == Level::warning ? "warning: " : "";
        text = rank + kind + printable(message, LineBreaks::keep);
    }
    logger().log(spdlog::level::info, text);
}

}  // namespace

void configure(const Settings& settings) { current = settings; }
const Settings& settings() { return current; }

void add_file(const std::string& path) {
    try {
        auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path, false);
        sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %v");
        logger().sinks().push_back(std::move(sink));
    } catch (const spdlog::spdlog_ex& reason) {
        throw Error(ExitCode::cannot_create, 901, fmt::format("can't create the log file {}: {}.", path, reason.what()));
    }
}

void write(Level level, const std::string& message) {
    write_message(level, message, Speakers::first_rank_of_info);
}
void write_from_every_rank(const std::string& message) {
    write_message(Level::info, message, Speakers::every_rank);
}

}  // namespace terrane::log
