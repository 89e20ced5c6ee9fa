#pragma once

#include <filesystem>
#include <string>

#include "comm/communicator.hpp"

namespace terrane::app {

/// A folder that the ranks share and that is gone afterwards. Collective.
class ScratchFolder {
  public:
    /// Below `parent`; empty: where the system keeps temporary files. Throws Error E0901 (73).
    ScratchFolder(const std::string& parent, comm::Communicator& communicator);
    ~ScratchFolder();
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    comm::Communicator& communicator_;
    std::filesystem::path path_;
};

}  // namespace terrane::app
