#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace terrane::report {

/// A glyph of the 5 x 7 font: seven rows of five characters, '#' is ink.
using Glyph = std::array<std::string_view, 7>;

/// The glyph of an ASCII character; lower case is drawn as upper case, unknown characters as a box.
const Glyph& glyph_of(char character);

}  // namespace terrane::report
