#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "comm/launch.hpp"
#include "net/connection.hpp"

namespace terrane::comm {

/// When a process of this machine was started, in clock ticks since boot; none if it isn't there. Together
/// with the number it means one process for ever.
std::optional<std::int64_t> process_start(pid_t process);

/// Whether that one still runs: neither gone nor a zombie.
bool is_running(pid_t process, std::int64_t started);

/// SIGKILL to a process of this machine, if it is still the one that started then.
void end_process(pid_t process, std::int64_t started);

/// The process that started the ranks of this host: mpirun, orted, slurmstepd ..., the nearest of our
/// ancestors with such a name; for torchrun our parent. Ranks whose launcher is gone have nobody to end them.
class LauncherWatch {
  public:
    /// Watches nothing where the launcher leaves its ranks on their own (a shell, a container).
    explicit LauncherWatch(Launcher launcher);

    bool watches() const { return process_ > 0; }
    bool is_gone() const;
    /// "mpirun (process 1234)"
    std::string describe() const;
    /// Becomes readable when the launcher ends; -1 where the system has no such thing.
    int descriptor() const { return handle_.get(); }

  private:
    pid_t process_ = 0;
    std::int64_t started_ = 0;
    std::string name_;
    net::Descriptor handle_;
};

}  // namespace terrane::comm
