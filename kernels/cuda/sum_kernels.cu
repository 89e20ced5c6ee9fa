#include "cuda/sum_kernels.hpp"

#include "cuda/launch.hpp"

namespace terrane::cuda {

namespace {

template <typename From, typename To>
struct Converted {
    const From* from;
    To* to;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width];
        load<width>(from, first, values);
        store<width>(to, first, values);
    }
};

}  // namespace

void narrow(Queue queue, const float* values, bfloat16* narrowed, std::int64_t count) {
    launch_elements<bfloat16>(queue, count, Converted<float, bfloat16>{values, narrowed});
}

void widen(Queue queue, const bfloat16* narrowed, float* values, std::int64_t count) {
    launch_elements<bfloat16>(queue, count, Converted<bfloat16, float>{narrowed, values});
}

}  // namespace terrane::cuda
