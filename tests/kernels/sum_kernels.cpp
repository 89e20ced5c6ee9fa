#include "cuda/sum_kernels.hpp"

#include <vector>

#include "base/philox.hpp"
#include "device/buffer.hpp"
#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("gradients are narrowed to bf16 and widened again element by element, whatever their number",
          "[cuda]") {
    for (const std::int64_t count : {1, 7, 8, 1000, 1003}) {
        const auto size = static_cast<std::size_t>(count);
        device::Buffer memory = device::allocate_host(device::aligned(4 * size) + 2 * size + 64);
        auto* const values = reinterpret_cast<float*>(memory.data());
        auto* const narrowed = reinterpret_cast<bfloat16*>(memory.data() + device::aligned(4 * size));
        std::vector<float> expected(size);
        PhiloxStream random(5, static_cast<std::uint64_t>(count));
        for (std::int64_t i = 0; i < count; ++i) {
            values[i] = static_cast<float>(random.normal());
            expected[static_cast<std::size_t>(i)] = static_cast<float>(bfloat16(values[i]));
        }
        cuda::narrow({}, values, narrowed, count);
        for (std::int64_t i = 0; i < count; ++i) values[i] = 0;
        cuda::widen({}, narrowed, values, count);
        CHECK(std::vector<float>(values, values + count) == expected);
        CHECK(static_cast<float>(narrowed[count]) == 0);  // nothing behind the last
    }
}
