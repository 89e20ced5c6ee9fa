#include "comm/meeting_file.hpp"

#include <fmt/format.h>

#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"

namespace terrane::comm {

namespace {

const std::string first_line = "terrane meeting 1";
constexpr std::size_t longest_file = std::size_t{1} << 16;

}  // namespace

MeetingFile::MeetingFile(std::filesystem::path path, const std::string& job, int port,
                         const std::string& interface_filter)
    : path_(std::move(path)) {
    std::string text = fmt::format("{}\n{}\n{}\n", first_line, job, port);
    for (const net::InterfaceAddress& entry : net::interface_addresses(interface_filter))
        text += entry.address.host() + "\n";
    try {
        write_file_atomically(path_, text);
    } catch (const Error& error) {
        throw Error(ExitCode::device_unavailable, 126,
                    "the other ranks can't be told where to meet: " + error.message(),
                    "Name a file in a folder that exists, that may be written to and that all hosts see.");
    }
}

MeetingFile::~MeetingFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

std::optional<MeetingPlace::Notice> MeetingFile::read(const std::filesystem::path& path,
                                                      const std::string& job, std::string& why) {
    std::string text;
    try {
        text = read_text_file(path, longest_file);
    } catch (const Error&) {
        why = "rank 0 has not written that file yet";
        return std::nullopt;
    }
    std::istringstream lines(text);
    std::string head, owner, host;
    MeetingPlace::Notice notice;
    why = "that file is of another job, or damaged";
    if (!std::getline(lines, head) || head != first_line || !std::getline(lines, owner) || owner != job)
        return std::nullopt;
    if (!(lines >> notice.port) || notice.port < 1 || notice.port > 65535) return std::nullopt;
    while (lines >> host) {
        for (const net::Address& address : net::resolve(host, notice.port, why))
            notice.addresses.push_back(address);
    }
    if (notice.addresses.empty()) return std::nullopt;
    return notice;
}

}  // namespace terrane::comm
