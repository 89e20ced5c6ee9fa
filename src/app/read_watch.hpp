#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/error.hpp"

namespace terrane::app {

/// A thread that ends a command whose files don't answer: no rank can be unwound while the system holds it in
/// a read.
class ReadWatch {
  public:
    /// `give_up` is called once, from the thread, with Error E0412 (74) that names file and part, when a read
    /// (base/slow_read.hpp) takes longer than `limit`.
    ReadWatch(std::chrono::duration<double> limit, std::function<void(const Error&)> give_up);
    ~ReadWatch();
    ReadWatch(const ReadWatch&) = delete;
    ReadWatch& operator=(const ReadWatch&) = delete;

  private:
    void watch();

    std::chrono::duration<double> limit_;
    std::function<void(const Error&)> give_up_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace terrane::app
