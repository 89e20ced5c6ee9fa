#include "base/process_memory.hpp"

#include <malloc.h>

#include <fstream>
#include <string>

namespace terrane {

ProcessMemory process_memory() {
    ProcessMemory memory;
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        const auto kilobytes = [&] { return std::stoull(line.substr(line.find(':') + 1)) * 1024; };
        if (line.starts_with("VmRSS:")) memory.resident = kilobytes();
        if (line.starts_with("VmHWM:")) memory.peak = kilobytes();
    }
    return memory;
}

void return_large_blocks_at_once() {
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

void return_freed_memory() {
    malloc_trim(0);
}

}  // namespace terrane
