#include "tiles/build_lock.hpp"

#include <fmt/format.h>

namespace terrane::tiles {

BuildLock::BuildLock(const std::filesystem::path& folder)
    : folder_(folder),
      lock_(folder, {.file = ".building",
                     .number = 422,
                     .what = fmt::format("the tile folder {} is being built", folder.string()),
                     .fix = "Wait until it is done, or build into another folder with -o."}) {}

BuildLock::~BuildLock() {
    std::error_code ignored;
    std::filesystem::remove(folder_ / "scenes", ignored);  // only if it is empty
}

}  // namespace terrane::tiles
