#include "comm/node_list.hpp"

#include <cctype>

namespace terrane::comm {

std::optional<std::string> first_host(const std::string& list) {
    std::string host;
    std::size_t at = 0;
    while (at < list.size() && list[at] != ',') {
        if (list[at] == '[') {
            const std::size_t end = list.find(']', at);
            if (end == std::string::npos) return std::nullopt;
            const std::size_t number_end = list.find_first_not_of("0123456789", at + 1);
            if (number_end == at + 1 || std::string("-,]").find(list[number_end]) == std::string::npos)
                return std::nullopt;
            host.append(list, at + 1, number_end - at - 1);
            at = end + 1;
            continue;
        }
        const auto letter = static_cast<unsigned char>(list[at]);
        if (std::isalnum(letter) == 0 && letter != '-' && letter != '.' && letter != '_') return std::nullopt;
        host.push_back(list[at++]);
    }
    if (host.empty()) return std::nullopt;
    return host;
}

}  // namespace terrane::comm
