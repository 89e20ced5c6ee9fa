#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace terrane::cuda {

/// How a choice was found: what a user looks at who wonders why planning takes long, or whether more engines
/// are worth measuring.
struct EngineSearch {
    int measured = 0;         ///< engines that could be built and ran
    int place = 0;            ///< of the chosen one in the library's own order, from 0
    double microseconds = 0;  ///< of its shortest run
    double build_seconds = 0, measure_seconds = 0;
};

/// Which of a library's engines was the fastest, by what it was measured for: so that a resumed run uses the
/// kernels of the interrupted one, and nobody measures twice. The file is JSON: {"format": 1, "choices":
/// {KEY: ENGINE}, "searches": {KEY: {...}}}, the latter for people. A file that can't be read or understood
/// counts as empty, since all it costs is to measure again.
class EngineChoices {
  public:
    /// Reads the file, if there is one. An empty path: nothing is kept.
    explicit EngineChoices(std::filesystem::path file);

    /// The engine's name; empty if none is known.
    std::string find(const std::string& key) const;
    /// Keeps a choice and writes the file whole. A file that can't be written is reported once and then left
    /// alone.
    void keep(const std::string& key, const std::string& engine, const EngineSearch& search = {});

    /// TERRANE_ENGINE_CHOICES, or terrane/engines.json in the user's cache folder, or nothing.
    static std::filesystem::path usual_file();

  private:
    std::filesystem::path file_;
    std::map<std::string, std::string> choices_;
    std::map<std::string, EngineSearch> searches_;
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
