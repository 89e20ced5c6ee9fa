#pragma once

#include <filesystem>

namespace terrane::tiles {

/// Keeps other builds out of a tile folder for as long as it lives; the kernel frees the lock of a process
/// that dies.
class BuildLock {
  public:
    /// Creates the folder if need be. Throws Error E0422 (73), naming the process that builds there, or E0901
    /// if the folder can't be created.
    explicit BuildLock(const std::filesystem::path& folder);
    /// Also removes the folder again if it was made here and nothing was put into it.
    ~BuildLock();
    BuildLock(const BuildLock&) = delete;
    BuildLock& operator=(const BuildLock&) = delete;

  private:
    std::filesystem::path folder_;
    std::filesystem::path file_;
    bool created_ = false;
    int descriptor_ = -1;
};

}  // namespace terrane::tiles
