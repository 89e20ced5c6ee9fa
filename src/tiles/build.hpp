#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace terrane::tiles {

/// The ranks that share a task, without a message layer in sight.
struct Ranks {
    int rank = 0;
    int size = 1;
    /// Every rank's text, by rank, on every rank; collective.
    std::function<std::vector<std::string>(const std::string&)> all_gather = [](const std::string& own) {
        return std::vector<std::string>{own};
    };
};

enum class Rebuild { changed, everything };

struct BuildReport {
    std::int64_t scenes = 0;
    std::int64_t built = 0;          ///< scenes cut by this run
    std::int64_t reused = 0;         ///< scenes that an earlier run had finished
    std::int64_t without_label = 0;  ///< scenes left out: nothing to learn from
    bool up_to_date = false;         ///< nothing was to be done
};

/// Builds, completes or refreshes the tile store of a configuration. Collective; the result does not depend
/// on the number of ranks. Scenes whose rasters and configuration are unchanged are kept, those of a killed
/// build too. Errors are thrown alike on every rank, and leave a store that was there before as it was.
BuildReport build(const config::Config& config, const std::filesystem::path& folder, const Ranks& ranks,
                  Rebuild rebuild = Rebuild::changed);

}  // namespace terrane::tiles
