#pragma once

#include <fmt/format.h>

#include "base/error.hpp"

namespace terrane::comm {

/// Ends a collective that was called off because another rank is lost (LossResponse::abort): E0806 (82).
[[noreturn]] inline void throw_abandoned(const char* what) {
    throw Error(ExitCode::peer_lost, 806,
                fmt::format("'{}' was given up because another rank is lost.", what),
                "Look for the first error in the log files of the ranks.");
}

}  // namespace terrane::comm
