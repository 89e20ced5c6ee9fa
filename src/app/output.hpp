#pragma once

#include <string>

namespace terrane::app {

/// Writes a result to standard output, checked: Error E0901 (74) if that fails (a full disk, a closed pipe).
void print_text(const std::string& text);
void print_line(const std::string& line);

}  // namespace terrane::app
