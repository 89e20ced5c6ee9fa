#include "base/process_memory.hpp"

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

}  // namespace terrane
