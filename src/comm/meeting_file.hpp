#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "comm/rendezvous.hpp"

namespace terrane::comm {

/// A file on a file system that all hosts see, in which rank 0 says where it can be reached (--dist-url
/// file:///PATH). Removed when rank 0 is done with it.
class MeetingFile {
  public:
    /// Replaces what an earlier job may have left. `job` tells this job from others. Throws Error E0126 (69)
    /// if the file can't be written.
    MeetingFile(std::filesystem::path path, const std::string& job, int port,
                const std::string& interface_filter);
    ~MeetingFile();
    MeetingFile(const MeetingFile&) = delete;
    MeetingFile& operator=(const MeetingFile&) = delete;

    /// What the file says to the other ranks; nothing, and `why`, if it isn't there yet or is of another job.
    static std::optional<MeetingPlace::Notice> read(const std::filesystem::path& path, const std::string& job,
                                                    std::string& why);

  private:
    std::filesystem::path path_;
};

}  // namespace terrane::comm
