#include "base/error.hpp"
#include "cuda/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("without CUDA or without a GPU the backend refuses with exit code 69 and says what to do",
          "[cuda]") {
    try {
        const auto backend = cuda::make_cuda_backend();
        CHECK(backend->name() == "cuda");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::device_unavailable);
        CHECK_FALSE(error.fix().empty());
    }
}
