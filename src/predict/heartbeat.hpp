#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

namespace terrane::predict {

/// Ranks with work of unknown length tell each other that they are at it, through the times of files in a
/// folder that all of them see. Who waits in a collective asks others_beat() when its time limit passes.
class Heartbeat {
  public:
    /// `folder` exists, or is empty for a rank that is alone and writes nothing. Only times that change
    /// count, never their values: clocks may differ between hosts.
    Heartbeat(std::filesystem::path folder, int rank);

    /// Says at most once a second that this rank is working. Never throws: a beat that can't be written is a
    /// beat that is missed.
    void beat() noexcept;
    /// Whether any rank has beaten since the last call, or since the beginning.
    bool others_beat();

  private:
    std::filesystem::path folder_, own_;
    std::chrono::steady_clock::time_point last_{};
    std::map<std::string, std::filesystem::file_time_type> seen_;
};

}  // namespace terrane::predict
