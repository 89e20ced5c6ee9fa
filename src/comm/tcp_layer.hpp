#pragma once

#include "comm/launch.hpp"
#include "comm/rendezvous.hpp"

namespace terrane::comm {

/// Lets ranks meet that no MPI connects, where the launch says. Throws Error 69: E0126 if the port can't be
/// opened, and what receive_members() and join() throw.
Party meet_over_tcp(const Launch& launch, Member self, std::chrono::duration<double> limit,
                    const std::string& interface_filter);

}  // namespace terrane::comm
