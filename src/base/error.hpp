#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace terrane {

/// The program's exit codes, the same on every rank (sysexits where they fit).
enum class ExitCode : int {
    done = 0,
    internal = 1,
    usage = 2,
    data_invalid = 65,
    input_missing = 66,
    device_unavailable = 69,
    cannot_create = 73,
    io_error = 74,
    stopped_early = 75,  ///< with a complete checkpoint: run the same command again
    config_invalid = 78,
    diverged = 80,
    fail_under = 81,
    peer_lost = 82,
};

/// An error a user can act on. `number` is the stable id shown as E0311; docs/errors.md lists them by hundreds:
/// 1xx launch and usage, 2xx rasters, 3xx labels, classes and splits, 4xx tile store, 5xx configuration and
/// training, 6xx weights and checkpoints, 7xx devices, plans and memory, 8xx communication, 9xx files and output.
/// The message says what, where and why; `fix` says what to do.
class Error : public std::runtime_error {
  public:
    Error(ExitCode exit_code, int number, const std::string& message, std::string fix = {});

    ExitCode exit_code() const noexcept { return exit_code_; }
    int number() const noexcept { return number_; }
    const std::string& message() const noexcept { return message_; }
    const std::string& fix() const noexcept { return fix_; }

    /// The same error with `where` (file, tile, rank ...) put before the message.
    Error with_context(const std::string& where) const;

  private:
    ExitCode exit_code_;
    int number_;
    std::string message_;
    std::string fix_;
};

/// A violated internal invariant: a bug of ours, never a user's mistake.
class InternalError : public std::logic_error {
  public:
    using std::logic_error::logic_error;
};

namespace detail {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line, const std::string& message);
}

/// Checks an internal invariant in every build type; the message is a fmt format string with arguments.
#define TERRANE_ASSERT(condition, ...)                                                                   \
    do {                                                                                                 \
        if (!(condition)) [[unlikely]]                                                                   \
            ::terrane::detail::assertion_failed(#condition, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
    } while (false)

}  // namespace terrane
