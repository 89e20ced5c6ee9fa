#pragma once

#include <optional>
#include <string>

namespace terrane::comm {

/// The first host of a list as Slurm writes them: "gpu[003-004,9],login1" gives "gpu003". None if the text is
/// no such list.
std::optional<std::string> first_host(const std::string& list);

}  // namespace terrane::comm
