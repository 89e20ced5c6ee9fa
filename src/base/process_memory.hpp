#pragma once

#include <cstddef>

namespace terrane {

/// Resident memory of this process in bytes, now and at its highest (VmRSS and VmHWM of /proc/self/status).
struct ProcessMemory {
    std::size_t resident = 0;
    std::size_t peak = 0;
};
ProcessMemory process_memory();

/// From now on blocks of 128 KiB and more are mappings of their own, which the system has back the moment they
/// are freed: for work whose plan of memory shall hold. Else the C library raises that limit up to 32 MiB by
/// itself, and what lies between long-lived blocks is lost.
void return_large_blocks_at_once();

/// Gives memory that was freed back to the system, which the C library else keeps for later: before work of
/// another kind, whose pieces would not fit into the gaps of the work before.
void return_freed_memory();

}  // namespace terrane
