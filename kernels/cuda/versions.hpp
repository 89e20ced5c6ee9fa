#pragma once

#include <string>
#include <vector>

namespace terrane::cuda {

struct Version {
    int major = 0, minor = 0, patch = 0;

    std::string text() const;
};

/// The number forms of CUDA (13000), cuBLAS (130100), cuDNN (91300) and NCCL (22809).
Version of_cuda(int number);
Version of_cublas(int number);
Version of_cudnn(long long number);
Version of_nccl(int number);

/// What a library promises to programs built with its headers.
enum class Compatibility {
    same_major,  ///< any library of the headers' major version or newer
    not_older,   ///< the headers' major version, and at least their minor one
};

struct Requirement {
    std::string library;  ///< "cuDNN"
    Version built;        ///< the headers this program was built with
    Version found;        ///< the library that was loaded
    Compatibility rule = Compatibility::not_older;
};

/// Throws Error E0718 (69) that names both versions and says what to install, if they don't go together.
void require_version(const Requirement& requirement);

/// Whether a build for `architectures`, CMAKE_CUDA_ARCHITECTURES with spaces between ("80 90-real
/// 100-virtual"), has kernels for a device of that compute capability: machine code runs on later devices of
/// the same major version, PTX (all entries but "-real") on all later ones.
bool has_kernels_for(const std::string& architectures, int major, int minor);
/// Throws Error E0713 (69) that names both if not. `name` is the device's.
void require_kernels_for(const std::string& architectures, const std::string& name, int major, int minor);

/// require_version for every library that this build uses: by library_versions.cpp.
void require_library_versions();
/// "cuda 13.0", "cudnn 9.19.0" ... of what was loaded; what a build was made without is not among them.
std::vector<std::string> loaded_versions();

}  // namespace terrane::cuda
