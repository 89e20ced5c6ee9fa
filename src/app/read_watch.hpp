#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "app/verb.hpp"
#include "base/error.hpp"
#include "comm/world.hpp"

namespace terrane::app {

/// Ends this process with the code that the ranks agree on for an error of this one. For another thread than
/// the one that is stuck: a rank that waits for a disk that doesn't answer can't be unwound.
[[noreturn]] void end_with(comm::World& world, const Error& error);

/// A thread that ends a command whose files don't answer: no rank can be unwound while the system holds it in
/// a read.
class ReadWatch {
  public:
    /// `give_up` is called once, from the thread, with Error E0412 (74) that names file and part, when a read
    /// (base/slow_read.hpp) takes longer than `limit`.
    ReadWatch(std::chrono::duration<double> limit, std::function<void(const Error&)> give_up);
    ReadWatch(const ReadWatch&) = delete;
    ReadWatch& operator=(const ReadWatch&) = delete;

  private:
    void watch(const std::stop_token& ending);

    std::chrono::duration<double> limit_;
    std::function<void(const Error&)> give_up_;
    std::jthread thread_;
};

}  // namespace terrane::app
