#pragma once

#include "app/options.hpp"
#include "comm/world.hpp"
#include "config/resolve.hpp"

namespace terrane::app {

/// What has to be known before the ranks know each other, from the command line and the environment.
struct LaunchOptions {
    comm::LaunchRequest request;
    comm::WorldSettings settings;
};
/// Throws Error 78, or E0103 (2), if an option has no valid value, and E0123 (69) if NCCL_TIMEOUT is no
/// number of seconds or TORCH_NCCL_ASYNC_ERROR_HANDLING none of its modes.
LaunchOptions launch_options(const Command& command, const comm::Environment& environment);

/// "off", "info" or "detail": runtime.dist_debug where it is set, else TORCH_DISTRIBUTED_DEBUG.
std::string dist_debug(const config::Resolved& resolved, const comm::Environment& environment);

/// The collective timeout in force: runtime.collective_timeout where it is set, else NCCL_TIMEOUT, else the
/// default. Throws Error E0123 (69) as above.
std::chrono::duration<double> collective_timeout(const config::Resolved& resolved,
                                                 const comm::Environment& environment);

}  // namespace terrane::app
