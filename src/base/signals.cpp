#include "base/signals.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::signals {

namespace {

std::atomic<bool> stops_by_itself{false};  // whether a StopRequest lives
std::atomic<std::chrono::milliseconds> respite{};
std::atomic<int> kept{0};             // the signal it found
std::atomic<int> last_exit_code{-1};  // what the process is leaving with; -1: it stays

sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT}) sigaddset(&set, signal);
    return set;
}

// Ends the process by the signal itself, so that whoever started it sees the cause.
[[noreturn]] void end_by(int signal) {
    ::signal(signal, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    ::raise(signal);
    std::_Exit(128 + signal);
}

// Another signal cuts the moment short.
void give_a_moment() {
    const std::chrono::milliseconds moment = respite.load();
    const timespec time{moment.count() / 1000, moment.count() % 1000 * 1'000'000};
    const sigset_t set = stop_signals();
    ::sigtimedwait(&set, nullptr, &time);
}

[[noreturn]] void leave() {
    give_a_moment();
    std::_Exit(last_exit_code.load());
}

void take(int signal) {
    const bool insists = signal == SIGTERM || signal == SIGINT;
    if (last_exit_code.load() >= 0 && insists) leave();
    if (stops_by_itself.load()) {
        int none = 0;
        if (kept.compare_exchange_strong(none, signal)) return;
        if (!insists) return;
        log::warning("{} after {}: ending at once; the last complete checkpoint stays", name_of(signal),
                     name_of(none));
        end_by(signal);
    }
    if (!insists) {
        log::warning("{}: there is nothing to stop early here; going on", name_of(signal));
        return;
    }
    if (signal == SIGTERM) give_a_moment();
    if (last_exit_code.load() >= 0) leave();
    log::warning("ended by {}; what is unfinished has its temporary name only", name_of(signal));
    end_by(signal);
}

[[noreturn]] void wait_for_signals() {
    const sigset_t set = stop_signals();
    for (;;) {
        int signal = 0;
        if (sigwait(&set, &signal) == 0) take(signal);
    }
}

}  // namespace

void wait_in_thread() {
    const sigset_t set = stop_signals();
    const int failed = pthread_sigmask(SIG_BLOCK, &set, nullptr);
    TERRANE_ASSERT(failed == 0, "signals can't be blocked: {}", std::system_category().message(failed));
    ::signal(SIGXFSZ, SIG_IGN);  // a file beyond its limit is an error of the write, like a full disk
    std::thread(wait_for_signals).detach();
}

void delay_termination(std::chrono::milliseconds time) {
    respite = time;
}

void leaving_with(int exit_code) {
    last_exit_code = exit_code;
}

StopRequest::StopRequest() {
    kept = 0;
    stops_by_itself = true;
}

StopRequest::~StopRequest() {
    stops_by_itself = false;
}

int StopRequest::signal() const noexcept {
    return kept.load(std::memory_order_relaxed);
}

std::string name_of(int signal) {
    switch (signal) {
        case SIGUSR1:
            return "USR1";
        case SIGUSR2:
            return "USR2";
        case SIGTERM:
            return "TERM";
        case SIGINT:
            return "INT";
        default:
            return fmt::format("signal {}", signal);
    }
}

}  // namespace terrane::signals
