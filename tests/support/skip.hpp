#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace terrane::test {

/// Ends the test executable as "skipped" (exit code 77, which ctest shows as such) and says why.
/// For what this machine lacks: a GPU, PyTorch, the sample data. Never for something the code under test lacks.
[[noreturn]] inline void skip(const std::string& reason) {
    std::printf("SKIPPED: %s\n", reason.c_str());
    std::fflush(stdout);
    std::_Exit(77);
}

/// Of a build with sanitizers (cmake/terrane_sanitizers.cmake names them to its tests), what they make impossible.
inline void skip_under_sanitizers(const std::string& reason) {
    const char* sanitizers = std::getenv("TERRANE_SANITIZE");
    if (sanitizers != nullptr) skip("under the sanitizers " + std::string(sanitizers) + ": " + reason);
}

}  // namespace terrane::test
