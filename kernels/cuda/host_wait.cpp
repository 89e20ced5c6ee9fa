#include "cuda/host_wait.hpp"

#include <sched.h>

#include <thread>

namespace terrane::cuda {

namespace {

// Short waits are over before anybody else could run; in long ones the core is left to others.
constexpr int polls_before_sleep = 5000;
constexpr auto sleep = std::chrono::microseconds(20);
constexpr auto between_checks = std::chrono::milliseconds(20);

}  // namespace

void HostWait::until(const std::function<bool()>& is_ready, const std::function<void()>& block) {
    if (!check_) return block();
    const auto begun = std::chrono::steady_clock::now();
    auto next_check = begun + between_checks;
    for (int polls = 0; !is_ready(); ++polls) {
        if (polls < polls_before_sleep) {
            ::sched_yield();
        } else {
            std::this_thread::sleep_for(sleep);
        }
        const auto now = std::chrono::steady_clock::now();
        if (now < next_check) continue;
        check_(now - begun);
        next_check = now + between_checks;
    }
}

}  // namespace terrane::cuda
