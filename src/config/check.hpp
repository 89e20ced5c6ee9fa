#pragma once

#include <string>

#include "config/resolve.hpp"

namespace terrane::config {

/// What the configuration is needed for.
enum class Completeness {
    whole,    ///< a file that describes data: modalities and classes are required
    partial,  ///< options only (inspect --model ...): modalities and classes may be missing
};

/// Checks what no single option can: ids and names unique, references exist, combinations make sense. Throws
/// Error 78: E0507 (missing), E0508 (duplicate), E0509 (values that contradict each other); each names the
/// place.
void check(const Resolved& resolved, Completeness completeness);

}  // namespace terrane::config
