#include "cuda/versions.hpp"

#include <sstream>

#include "base/error.hpp"

namespace terrane::cuda {

std::string Version::text() const {
    return patch > 0 ? fmt::format("{}.{}.{}", major, minor, patch) : fmt::format("{}.{}", major, minor);
}

Version of_cuda(int number) {
    return {number / 1000, number % 1000 / 10, 0};
}
Version of_cublas(int number) {
    return {number / 10000, number / 100 % 100, number % 100};
}
Version of_cudnn(long long number) {
    const int value = static_cast<int>(number);
    // Since 9 the major version has two more digits.
    if (value >= 90000) return {value / 10000, value / 100 % 100, value % 100};
    return {value / 1000, value / 100 % 10, value % 100};
}
Version of_nccl(int number) {
    return {number / 10000, number / 100 % 100, number % 100};
}

void require_version(const Requirement& requirement) {
    const Version &built = requirement.built, &found = requirement.found;
    const bool fits = requirement.rule == Compatibility::same_major
                          ? found.major >= built.major
                          : found.major == built.major && found.minor >= built.minor;
    if (fits) return;
    const bool driver = requirement.rule == Compatibility::same_major;
    throw Error(
        ExitCode::device_unavailable, 718,
        driver ? fmt::format("{} runs CUDA up to {}, but this terrane was built with CUDA {}.",
                             requirement.library, found.text(), built.text())
               : fmt::format("{} {} was loaded, but this terrane was built with {}.", requirement.library,
                             found.text(), built.text()),
        driver
            ? fmt::format("Install a driver for CUDA {} or newer, or build with an older CUDA.", built.major)
            : fmt::format("Put {} {}.{} or a newer {}.x first in the loader's path (LD_LIBRARY_PATH).",
                          requirement.library, built.major, built.minor, built.major));
}

bool has_kernels_for(const std::string& architectures, int major, int minor) {
    const int device = 10 * major + minor;
    std::istringstream list(architectures);
    for (std::string entry; list >> entry;) {
        std::size_t digits = 0;
        while (digits < entry.size() && entry[digits] >= '0' && entry[digits] <= '9') ++digits;
        // "native", "all" and "all-major" name none: what they hold only the compiler knew.
        if (digits == 0 || digits > 4) return true;
        const int built = std::stoi(entry.substr(0, digits));
        const char variant = digits < entry.size() ? entry[digits] : '-';
        if (variant == 'a') {
            if (device == built) return true;  // "90a": for that device alone
            continue;
        }
        const bool machine_code = !entry.ends_with("-virtual"), ptx = !entry.ends_with("-real");
        if (machine_code && built / 10 == major && built <= device) return true;
        if (ptx && variant != 'f' && built <= device) return true;
    }
    return false;
}

void require_kernels_for(const std::string& architectures, const std::string& name, int major, int minor) {
    if (has_kernels_for(architectures, major, minor)) return;
    throw Error(
        ExitCode::device_unavailable, 713,
        fmt::format("No CUDA device can be used: {} has compute capability {}.{}, but this terrane was "
                    "built for {}.",
                    name, major, minor, architectures),
        fmt::format("Build with -DCMAKE_CUDA_ARCHITECTURES={}{}, or use --device cpu.", major, minor));
}

}  // namespace terrane::cuda
