#include "cuda/versions.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::cuda;

namespace {

std::string refusal(const Requirement& requirement) {
    try {
        require_version(requirement);
    } catch (const Error& error) {
        CHECK((error.number() == 718 && error.exit_code() == ExitCode::device_unavailable &&
               !error.fix().empty()));
        return error.message();
    }
    return {};
}

}  // namespace

TEST_CASE("version numbers are read as each library writes them", "[cuda]") {
    CHECK(of_cuda(13000).text() == "13.0");
    CHECK(of_cuda(12080).text() == "12.8");
    CHECK(of_cublas(130100).text() == "13.1");
    CHECK(of_cudnn(91300).text() == "9.13");
    CHECK(of_cudnn(91002).text() == "9.10.2");
    CHECK(of_cudnn(8907).text() == "8.9.7");
    CHECK(of_nccl(22809).text() == "2.28.9");
}

TEST_CASE("libraries that do not go with this build are named with both versions", "[cuda]") {
    CHECK(refusal({"NVIDIA's driver", {13, 0}, {12, 8}, Compatibility::same_major}) ==
          "NVIDIA's driver runs CUDA up to 12.8, but this terrane was built with CUDA 13.0.");
    CHECK(refusal({"NVIDIA's driver", {13, 1}, {13, 0}, Compatibility::same_major}).empty());
    CHECK(refusal({"NVIDIA's driver", {13, 0}, {14, 0}, Compatibility::same_major}).empty());
    CHECK(refusal({"cuDNN", {9, 13, 0}, {9, 10, 2}}) ==
          "cuDNN 9.10.2 was loaded, but this terrane was built with 9.13.");
    CHECK(refusal({"cuDNN", {9, 13, 0}, {9, 14, 0}}).empty());
    CHECK_FALSE(refusal({"cuDNN", {9, 13, 0}, {10, 14, 0}}).empty());
}
