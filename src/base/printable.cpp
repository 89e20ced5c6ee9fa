#include "base/printable.hpp"

#include <fmt/format.h>

namespace terrane {

std::string printable(std::string_view text, LineBreaks line_breaks) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto code = static_cast<unsigned char>(text[i]);
        const bool second_of_c1 = code == 0xc2 && i + 1 < text.size() &&
                                  static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                                  static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (code == '\n' && line_breaks == LineBreaks::keep) {
            result += '\n';
        } else if (code == '\n') {
            result += "\\n";
        } else if (code == '\t') {
            result += "\\t";
        } else if (code == '\r') {
            result += "\\r";
        } else if (code < 0x20 || code == 0x7f) {
            result += fmt::format("\\x{:02x}", code);
        } else if (second_of_c1) {
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
        } else {
            result += text[i];
        }
    }
    return result;
}

}  // namespace terrane
