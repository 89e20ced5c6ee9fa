#include "comm/termination_watch.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace terrane::comm {

namespace {

// mpirun follows with SIGKILL after about a second; rank 0 decides within half of one.
constexpr auto respite = std::chrono::milliseconds(700);

std::atomic<bool> came{false};
std::atomic<int> wake_counter{-1};

void note(int) {
    const int before = errno;
    came.store(true);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_counter.load(), &one, sizeof one);
    errno = before;
}

}  // namespace

void TerminationWatch::begin(int wake) {
    struct sigaction current {};
    sigset_t blocked;
    if (::sigaction(SIGTERM, nullptr, &current) != 0 || current.sa_handler != SIG_DFL) return;
    if (pthread_sigmask(SIG_SETMASK, nullptr, &blocked) != 0 || sigismember(&blocked, SIGTERM) == 1) return;
    wake_counter.store(wake);
    struct sigaction own {};
    own.sa_handler = note;
    own.sa_flags = SA_RESTART;
    installed_ = ::sigaction(SIGTERM, &own, nullptr) == 0;
}

TerminationWatch::~TerminationWatch() {
    if (!installed_) return;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGTERM, &standard, nullptr);
    if (came.exchange(false)) ::kill(::getpid(), SIGTERM);
}

void TerminationWatch::obey_in_time(std::chrono::steady_clock::time_point now) {
    if (!installed_ || !came.load()) return;
    if (!seen_) {
        seen_ = true;
        seen_at_ = now;
    }
    if (now - seen_at_ < respite) return;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGTERM, &standard, nullptr);
    ::kill(::getpid(), SIGTERM);
}

}  // namespace terrane::comm
