#include "app/read_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <utility>

#include "base/slow_read.hpp"
#include "comm/all_signals_blocked.hpp"

namespace terrane::app {

void end_with(comm::World& world, const Error& error) {
    std::_Exit(world.fail(std::make_exception_ptr(error)));
}

ReadWatch::ReadWatch(std::chrono::duration<double> limit, std::function<void(const Error&)> give_up)
    : limit_(limit), give_up_(std::move(give_up)) {
    const comm::AllSignalsBlocked blocked;
    thread_ = std::jthread([this](const std::stop_token& ending) { watch(ending); });
}

void ReadWatch::watch(const std::stop_token& ending) {
    const auto interval = std::min<std::chrono::duration<double>>(limit_ / 10, std::chrono::seconds(5));
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, ending, interval, [&] { return ending.stop_requested(); })) {
        const auto oldest = slow_read::oldest();
        if (!oldest || oldest->since <= limit_) continue;
        give_up_(
            Error(ExitCode::io_error, 412,
                  fmt::format("{} has been read for {:.1f} s without an answer.", oldest->what,
                              oldest->since.count()),
                  "Look at the file system of that file and the kernel's messages, then run the same "
                  "command again; a training goes on from its last checkpoint. --collective-timeout sets "
                  "the limit."));
        return;
    }
}

}  // namespace terrane::app
