#pragma once

#include <exception>
#include <string>

namespace terrane::comm {

/// An exception as its user sees it.
struct Failure {
    int exit_code = 1;
    int number = 1;  ///< of the error: 802 for E0802
    std::string text;

    /// The message layer's own complaint, which is as a rule the consequence of something else.
    bool is_secondary() const { return number == 801 || number == 802 || number == 806; }
};
/// Error keeps its text and code; anything else is an internal error (E0001) or a lack of memory (E0002),
/// exit 1.
Failure describe_failure(const std::exception_ptr& exception);

/// Prints an error without the rank that the log would put before it: the text names the place itself where
/// it matters.
void print_failure(const std::string& text);

}  // namespace terrane::comm
