#pragma once

#include <chrono>
#include <string>

/// USR1, USR2, TERM and INT as requests to stop. They are blocked in every thread and taken by one that waits
/// for them, so no handler ever runs in the middle of other code.
namespace terrane::signals {

/// Blocks the signals and starts the thread that waits for them. To be called once, by main, before anything
/// starts a thread (MPI does): threads inherit what is blocked. What a process does then:
///
/// - INT ends it at once, with one line that says so. Results have a temporary name until they are whole, so
///   nothing half-written is left under a final one.
/// - TERM does the same after 0.7 s: mpirun sends it to all other ranks as soon as one is gone, and those
///   have to say first which; it kills after a second.
/// - USR1 and USR2, which batch systems send some time before the end, are warned about and otherwise
///   ignored: only work that can be continued gains anything by stopping early.
/// - While a StopRequest lives, the first signal of any kind is kept for it, and only a further TERM or INT
///   ends the process at once.
/// - XFSZ is ignored: a write beyond the limit on the size of files fails, and says so.
void wait_in_thread();

/// Puts off the end by TERM for so long, where nothing is to be stopped. mpirun sends TERM to all ranks as
/// soon as one is gone, and those have to name that rank first.
void delay_termination(std::chrono::milliseconds respite);

/// The process is on its way out and has said why: TERM and INT no longer end it by themselves, which would
/// need words of its own; it gets its moment and then leaves with this exit code.
void leaving_with(int exit_code);

/// Work that stops at a boundary of its own choice when a signal asks for it. One at a time.
class StopRequest {
  public:
    StopRequest();
    ~StopRequest();
    StopRequest(const StopRequest&) = delete;
    StopRequest& operator=(const StopRequest&) = delete;

    /// The signal that asked for it, or 0. Doesn't allocate or wait.
    int signal() const noexcept;
};

/// "USR1", "TERM".
std::string name_of(int signal);

}  // namespace terrane::signals
