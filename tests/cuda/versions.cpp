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

TEST_CASE("a build runs on devices that it has machine code or PTX for", "[cuda]") {
    CHECK(has_kernels_for("80 90 100", 8, 0));
    CHECK(has_kernels_for("80 90 100", 8, 9));   // code for 8.0
    CHECK(has_kernels_for("80 90 100", 12, 0));  // PTX of 10.0
    CHECK_FALSE(has_kernels_for("80 90 100", 7, 5));
    CHECK(has_kernels_for("90-real", 9, 0));
    CHECK_FALSE(has_kernels_for("90-real", 8, 9));
    CHECK_FALSE(has_kernels_for("90-real", 10, 0));
    CHECK(has_kernels_for("86-virtual", 9, 0));
    CHECK_FALSE(has_kernels_for("86-virtual", 8, 0));
    CHECK(has_kernels_for("80-real 90-virtual", 10, 3));
    CHECK(has_kernels_for("90a", 9, 0));
    CHECK_FALSE(has_kernels_for("90a", 10, 0));
    CHECK(has_kernels_for("100f", 10, 3));
    CHECK_FALSE(has_kernels_for("100f", 12, 0));
    CHECK(has_kernels_for("native", 8, 6));
    CHECK_FALSE(has_kernels_for("", 9, 0));

    CHECK_NOTHROW(require_kernels_for("90-real", "NVIDIA H100", 9, 0));
    try {
        require_kernels_for("90-real", "NVIDIA A100", 8, 0);
        FAIL("an A100 does not run code for 9.0");
    } catch (const Error& error) {
        CHECK((error.number() == 713 && error.exit_code() == ExitCode::device_unavailable));
        CHECK_THAT(error.message(), test::contains("NVIDIA A100 has compute capability 8.0"));
        CHECK_THAT(error.fix(), test::contains("CMAKE_CUDA_ARCHITECTURES=80"));
    }
}
