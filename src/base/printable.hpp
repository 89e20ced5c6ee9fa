#pragma once

#include <string>
#include <string_view>

namespace terrane {

enum class LineBreaks { keep, escape };

/// Text from outside made safe for a terminal and a log: control characters, those of C1 in UTF-8 included,
/// are written as \xNN (\n, \t, \r by those names), so that a file name can neither colour, move nor forge a
/// line. Applied twice it changes nothing more.
std::string printable(std::string_view text, LineBreaks line_breaks = LineBreaks::escape);

}  // namespace terrane
