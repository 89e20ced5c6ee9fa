#include "app/output.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/error.hpp"

namespace terrane::app {

void print_text(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
        throw Error(ExitCode::io_error, 901,
                    fmt::format("can't write to standard output: {}.", std::strerror(errno)));
    }
}

void print_line(const std::string& line) {
    print_text(line + "\n");
}

}  // namespace terrane::app
