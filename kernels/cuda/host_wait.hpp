#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace terrane::cuda {

/// The host waiting for the device. Where a check is set, work in the queue may itself wait for other ranks:
/// then the host never waits inside a driver call, and the check can end the waiting by throwing.
class HostWait {
  public:
    using Check = std::function<void(std::chrono::duration<double> waited)>;

    void set_check(Check check) { check_ = std::move(check); }
    bool is_checked() const { return check_ != nullptr; }
    /// Returns when `is_ready` says so, asking it again and again, or, without a check, when `block` returns.
    void until(const std::function<bool()>& is_ready, const std::function<void()>& block);

  private:
    Check check_;
};

}  // namespace terrane::cuda
