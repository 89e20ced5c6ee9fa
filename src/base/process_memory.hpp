#pragma once

#include <cstddef>

namespace terrane {

/// Resident memory of this process in bytes, now and at its highest (VmRSS and VmHWM of /proc/self/status).
struct ProcessMemory {
    std::size_t resident = 0;
    std::size_t peak = 0;
};
ProcessMemory process_memory();

}  // namespace terrane
