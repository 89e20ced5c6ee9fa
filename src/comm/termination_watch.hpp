#pragma once

#include <chrono>

namespace terrane::comm {

/// Puts SIGTERM off for a moment: mpirun sends it to all other ranks as soon as one is gone, and those have
/// to name that rank first. Does nothing where SIGTERM has another meaning already (a handler, or blocked).
/// One object per process.
class TerminationWatch {
  public:
    TerminationWatch() = default;
    ~TerminationWatch();
    TerminationWatch(const TerminationWatch&) = delete;
    TerminationWatch& operator=(const TerminationWatch&) = delete;

    /// From now on; `wake` is an event counter that is raised when the signal comes.
    void begin(int wake);
    /// Ends the process by the signal if it came long enough ago.
    void obey_in_time(std::chrono::steady_clock::time_point now);

  private:
    bool installed_ = false;
    bool seen_ = false;
    std::chrono::steady_clock::time_point seen_at_{};
};

}  // namespace terrane::comm
