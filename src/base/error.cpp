#include "base/error.hpp"

#include "base/printable.hpp"

namespace terrane {

namespace {

std::string full_text(int number, const std::string& message, const std::string& fix) {
    return fix.empty() ? fmt::format("error[E{:04}]: {}", number, message)
                       : fmt::format("error[E{:04}]: {} {}", number, message, fix);
}

}  // namespace

Error::Error(ExitCode exit_code, int number, const std::string& message, std::string fix)
    : std::runtime_error(printable(full_text(number, message, fix))),
      exit_code_(exit_code),
      number_(number),
      message_(printable(message)),
      fix_(printable(fix)) {}

Error Error::with_context(const std::string& where) const {
    return Error(exit_code_, number_, where + ": " + message_, fix_);
}

namespace detail {

void assertion_failed(const char* expression, const char* file, int line, const std::string& message) {
    throw InternalError(fmt::format("{}:{}: '{}' does not hold: {}", file, line, expression, message));
}

}  // namespace detail

}  // namespace terrane
