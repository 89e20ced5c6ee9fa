#pragma once

#include <filesystem>
#include <string>

namespace terrane::report {

/// A text file that only grows, line by line; each line is one checked write, so a killed run leaves whole
/// lines.
class AppendFile {
  public:
    /// Opens or creates it; a last line that a full disk or a power cut left unfinished is removed. Throws
    /// Error E0901 (73).
    explicit AppendFile(std::filesystem::path path);
    ~AppendFile();
    AppendFile(const AppendFile&) = delete;
    AppendFile& operator=(const AppendFile&) = delete;

    /// Whether it had no content when it was opened.
    bool was_empty() const { return was_empty_; }
    /// Appends `line` and a line feed. Throws Error E0901 (74).
    void write_line(const std::string& line);

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    bool was_empty_ = true;
};

}  // namespace terrane::report
