#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace terrane::weights {

/// A name out of a foreign file, fit for a message: it may hold anything, so it is shortened and what a
/// terminal would interpret is masked.
inline std::string printable(std::string_view text) {
    std::string result(text.substr(0, 80));
    std::replace_if(
        result.begin(), result.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return text.size() > 80 ? result + "..." : result;
}

}  // namespace terrane::weights
