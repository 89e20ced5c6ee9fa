#pragma once

#include <filesystem>
#include <string>

namespace terrane {

/// Keeps other processes out of a folder for as long as it lives, by a lock on a file in it that names its
/// holder. The kernel frees the lock of a process that dies, also over NFS; on file systems without locks the
/// file itself is the lock: a dead process of this host doesn't hold it, one of another host is believed.
class FolderLock {
  public:
    struct Settings {
        std::string file;  ///< name of the lock's file within the folder
        int number = 0;    ///< of the error when somebody else holds it
        std::string what;  ///< how the message begins: "the tile folder F is being built"
        std::string fix;   ///< what to do then
        enum class By { kernel, file } by = By::kernel;  ///< file: as if the file system had no locks
    };

    /// Creates the folder if need be. Throws Error `number` (73), naming the process that holds the lock, or
    /// E0901 if folder or file can't be created.
    FolderLock(const std::filesystem::path& folder, const Settings& settings);
    /// Also removes the folder again if it was made here and nothing was put into it.
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

  private:
    void lock_by_kernel(const Settings& settings);
    void lock_by_file(const Settings& settings);

    std::filesystem::path folder_;
    std::filesystem::path file_;
    bool created_ = false;  // the folder, here
    bool held_ = false;
    int descriptor_ = -1;  // below 0: the file itself is the lock
};

}  // namespace terrane
