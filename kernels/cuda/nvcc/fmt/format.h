#pragma once

// In place of {fmt}, for device files only: nvcc 13 can't compile {fmt} 9. Assertions in headers that device
// files share then show their text without the values.
#include <string>
#include <string_view>

namespace fmt {

template <typename... Values>
std::string format(std::string_view text, const Values&...) {
    return std::string(text);
}

}  // namespace fmt
