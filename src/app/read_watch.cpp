#include "app/read_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/slow_read.hpp"
#include "comm/all_signals_blocked.hpp"

namespace terrane::app {

ReadWatch::ReadWatch(std::chrono::duration<double> limit, std::function<void(const Error&)> give_up)
    : limit_(limit), give_up_(std::move(give_up)) {
    const comm::AllSignalsBlocked blocked;
    thread_ = std::thread([this] { watch(); });
}

ReadWatch::~ReadWatch() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void ReadWatch::watch() {
    const auto interval = std::min<std::chrono::duration<double>>(limit_ / 10, std::chrono::seconds(5));
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, interval, [this] { return ending_; })) {
        const auto oldest = slow_read::oldest();
        if (!oldest || oldest->since <= limit_) continue;
        lock.unlock();
        give_up_(Error(ExitCode::io_error, 412,
                       fmt::format("{} has been read for {:.1f} s without an answer.", oldest->what,
                                   oldest->since.count()),
                       "Look at the file system of that file and the kernel's messages; --collective-timeout "
                       "sets the limit."));
        return;
    }
}

}  // namespace terrane::app
