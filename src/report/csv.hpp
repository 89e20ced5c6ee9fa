#pragma once

#include <string>

namespace terrane::report {

/// A field of a comma-separated file, quoted where RFC 4180 demands it.
inline std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char character : text) {
        if (character == '"') quoted += '"';
        quoted += character;
    }
    return quoted + '"';
}

}  // namespace terrane::report
