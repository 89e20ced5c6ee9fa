#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace terrane::log {

enum class Level { debug, info, warning, error };
enum class Format { text, json };

/// Who is speaking and how. Before the ranks are known the defaults (rank 0 of 1, text, info) hold.
struct Settings {
    int rank = 0;
    int ranks = 1;
    Level level = Level::info;
    Format format = Format::text;
};
void configure(const Settings& settings);
const Settings& settings();

/// Also append every message of this rank to a file (the run folder's log/rank_N.log). Throws Error E0901.
void add_file(const std::string& path);

/// Writes one message: to standard error, info and debug from rank 0 only, warnings and errors from any rank with
/// its number when there are several. Safe from any thread.
void write(Level level, const std::string& message);
/// The same as an info message, but from every rank, with its number when there are several.
void write_from_every_rank(const std::string& message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (settings().level <= Level::debug) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace terrane::log
