#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace terrane::net {

/// Writes values one after the other into a message.
class MessageWriter {
  public:
    MessageWriter& add(std::int64_t value);
    MessageWriter& add(const std::string& text);
    const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_;
};

/// Reads them again. A message may come from anywhere: what doesn't fit gives 0 or an empty text, and
/// failed() tells.
class MessageReader {
  public:
    explicit MessageReader(const std::string& bytes) : bytes_(bytes) {}

    std::int64_t integer();
    std::string text();
    bool failed() const { return failed_; }
    /// Everything was read, and everything fitted.
    bool complete() const { return !failed_ && at_ == bytes_.size(); }

  private:
    const std::string& bytes_;
    std::size_t at_ = 0;
    bool failed_ = false;
};

}  // namespace terrane::net
