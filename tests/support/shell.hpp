#pragma once

#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace terrane::test {

struct ShellResult {
    int exit_code = 0;
    std::string output;  ///< standard output and standard error together
    double seconds = 0;
};

/// Runs a command in a shell with empty standard input.
inline ShellResult shell(const std::string& command) {
    const auto start = std::chrono::steady_clock::now();
    FILE* pipe = ::popen(("( " + command + " ) 2>&1 < /dev/null").c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("popen failed");
    ShellResult result;
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        result.output.append(buffer.data(), count);
    }
    const int status = ::pclose(pipe);
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

inline int occurrences(const std::string& text, const std::string& part) {
    int count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

}  // namespace terrane::test
