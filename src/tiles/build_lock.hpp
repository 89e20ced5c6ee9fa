#pragma once

#include <filesystem>

#include "base/folder_lock.hpp"

namespace terrane::tiles {

/// Keeps other builds out of a tile folder for as long as it lives. Throws what FolderLock throws, Error
/// E0422 (73) where another process builds there.
class BuildLock {
  public:
    explicit BuildLock(const std::filesystem::path& folder);
    /// Also removes the folder of scenes if nothing was put into it.
    ~BuildLock();
    BuildLock(const BuildLock&) = delete;
    BuildLock& operator=(const BuildLock&) = delete;

  private:
    std::filesystem::path folder_;
    FolderLock lock_;
};

}  // namespace terrane::tiles
