#include "base/leftovers.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <vector>

#include "base/log.hpp"

namespace terrane {

namespace {

/// The host's name without its domain, with characters that are safe in file names and no dot.
std::string host_tag() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "host";
    std::string tag;
    for (const char character : std::string_view(name.data())) {
        if (character == '.') break;
        const bool plain = std::isalnum(static_cast<unsigned char>(character)) != 0 || character == '-';
        tag += plain ? character : '_';
    }
    return tag.empty() ? "host" : tag;
}

}  // namespace

std::string process_tag() {
    return fmt::format("{}-{}", ::getpid(), host_tag());
}

bool is_of_dead_process(std::string_view text) {
    const std::string host = host_tag();
    pid_t process = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), process);
    if (failed != std::errc{} || process <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with("-" + host)) return false;
    text.remove_prefix(1 + host.size());
    if (!text.empty() && text.front() != '.') return false;
    return ::kill(process, 0) != 0 && errno == ESRCH;
}

void remove_leftovers(const std::filesystem::path& folder, const std::string& prefix) {
    std::vector<std::filesystem::path> found;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(folder.empty() ? "." : folder, failure), end;
         !failure && entry != end; entry.increment(failure)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with(prefix) && is_of_dead_process(std::string_view(name).substr(prefix.size())))
            found.push_back(entry->path());
    }
    for (const auto& path : found) {
        std::filesystem::remove_all(path, failure);
        if (failure)
            log::warning("{} of an earlier run can't be removed: {}", path.string(), failure.message());
    }
}

}  // namespace terrane
