#include "net/message.hpp"

namespace terrane::net {

MessageWriter& MessageWriter::add(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    for (int i = 0; i < 8; ++i) bytes_.push_back(static_cast<char>((bits >> (8 * i)) & 0xff));
    return *this;
}

MessageWriter& MessageWriter::add(const std::string& text) {
    add(static_cast<std::int64_t>(text.size()));
    bytes_ += text;
    return *this;
}

std::int64_t MessageReader::integer() {
    if (failed_ || bytes_.size() - at_ < 8) {
        failed_ = true;
        return 0;
    }
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 8; ++i)
        bits |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes_[at_ + i])) << (8 * i);
    at_ += 8;
    return static_cast<std::int64_t>(bits);
}

std::string MessageReader::text() {
    const std::int64_t length = integer();
    if (failed_ || length < 0 || static_cast<std::uint64_t>(length) > bytes_.size() - at_) {
        failed_ = true;
        return {};
    }
    std::string text = bytes_.substr(at_, static_cast<std::size_t>(length));
    at_ += static_cast<std::size_t>(length);
    return text;
}

}  // namespace terrane::net
