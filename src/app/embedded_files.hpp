#pragma once

#include <map>
#include <string_view>

namespace terrane::app {

/// Texts of configs/layouts and slurm/ by file name, as of the build (cmake/terrane_embed.cmake).
const std::map<std::string_view, std::string_view>& embedded_files();

}  // namespace terrane::app
