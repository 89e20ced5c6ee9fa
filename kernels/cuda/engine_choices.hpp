#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace terrane::cuda {

/// Which of a library's engines was the fastest, by what it was measured for: so that a resumed run uses the
/// kernels of the interrupted one, and nobody measures twice. The file is JSON: {"format": 1, "choices":
/// {KEY: ENGINE}}. A file that can't be read or understood counts as empty, since all it costs is to measure
/// again.
class EngineChoices {
  public:
    /// Reads the file, if there is one. An empty path: nothing is kept.
    explicit EngineChoices(std::filesystem::path file);

    /// The engine's name; empty if none is known.
    std::string find(const std::string& key) const;
    /// Keeps a choice and writes the file whole. A file that can't be written is reported once and then left
    /// alone.
    void keep(const std::string& key, const std::string& engine);

    /// TERRANE_ENGINE_CHOICES, or terrane/engines.json in the user's cache folder, or nothing.
    static std::filesystem::path usual_file();

  private:
    std::filesystem::path file_;
    std::map<std::string, std::string> choices_;
};

/// The key of a convolution-like op.
struct EngineKey {
    std::string device, library;
    std::string direction;  ///< "forward", "data", "weight"
    std::string dtype;
    std::int64_t sizes[12] = {};  ///< batch, two maps, kernel, stride, padding, dilation, groups

    std::string text() const;
};

}  // namespace terrane::cuda
