// NCCL itself, with the one rank that a machine with one GPU can have: a sum is what it was, also when it is
// recorded.
#include <cstring>

#include "base/error.hpp"
#include "cuda/backend.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"

using namespace terrane;

namespace {

std::unique_ptr<device::Backend> backend_or_skip() {
    try {
        return cuda::make_cuda_backend();
    } catch (const Error& error) {
        if (error.exit_code() != ExitCode::device_unavailable) throw;
        test::skip(error.message());
    }
}

std::vector<float> read(device::Backend& backend, const device::Buffer& buffer) {
    std::vector<float> values(buffer.bytes() / sizeof(float));
    backend.copy_to_host(reinterpret_cast<std::byte*>(values.data()), buffer.data(), buffer.bytes());
    return values;
}

}  // namespace

TEST_CASE("NCCL sums the gradients of one rank, step by step and recorded", "[cuda]") {
    const auto backend = backend_or_skip();
    for (const auto type : {device::GradientSums::f32, device::GradientSums::bf16}) {
        const auto sums = backend->connect(
            {.broadcast = [](std::string&) {}, .timeout = std::chrono::seconds(60), .gradients = type});
        if (!sums) test::skip("this terrane was built without NCCL");
        std::vector<float> values(1003), expected;
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1f + static_cast<float>(i) / 7;
        for (const float value : values) {
            expected.push_back(type == device::GradientSums::bf16 ? static_cast<float>(bfloat16(value))
                                                                  : value);
        }
        const device::Buffer buffer = backend->allocate(values.size() * sizeof(float));
        const std::span<float> on_device(reinterpret_cast<float*>(buffer.data()), values.size());
        const auto write = [&] {
            backend->copy_to_device(buffer.data(), reinterpret_cast<const std::byte*>(values.data()),
                                    buffer.bytes());
        };
        const auto sum = [&] { sums->wait(sums->start_sum(on_device)); };
        write();
        sum();
        CHECK(read(*backend, buffer) == expected);
        write();
        const auto recording = backend->record(sum);
        REQUIRE(recording != nullptr);
        recording->replay();
        CHECK(read(*backend, buffer) == expected);
    }
}
