#include <algorithm>

#include "cuda/resize.hpp"
#include "cuda/runtime.hpp"

namespace terrane::cuda {

namespace {

constexpr int threads = 256;

__device__ std::int64_t first_item() {
    return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ std::int64_t item_stride() {
    return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

template <typename T, int width>
__global__ void forward_kernel(const T* x, T* y, ResizeGeometry geometry, std::int64_t items) {
    for (std::int64_t index = first_item(); index < items; index += item_stride()) {
        resize_forward_at<T, width>(x, y, geometry, index);
    }
}

template <typename T, int width>
__global__ void backward_kernel(const T* first, const T* second, T* dx, ResizeGeometry geometry,
                                std::int64_t items) {
    for (std::int64_t index = first_item(); index < items; index += item_stride()) {
        resize_backward_at<T, width>(first, second, dx, geometry, index);
    }
}

/// Blocks for so many items, a thread each up to a grid that fills any device many times over.
unsigned blocks_for(std::int64_t items) {
    return static_cast<unsigned>(std::clamp<std::int64_t>((items + threads - 1) / threads, 1, 1 << 20));
}

template <typename T, int width>
void forward(const T* x, T* y, const ResizeGeometry& g) {
    const std::int64_t items = resize_items<width>(g, g.out_height, g.out_width);
    forward_kernel<T, width><<<blocks_for(items), threads>>>(x, y, g, items);
    TERRANE_CUDA_CHECK(cudaGetLastError());
}

template <typename T, int width>
void backward(const T* first, const T* second, T* dx, const ResizeGeometry& g) {
    const std::int64_t items = resize_items<width>(g, g.in_height, g.in_width);
    backward_kernel<T, width><<<blocks_for(items), threads>>>(first, second, dx, g, items);
    TERRANE_CUDA_CHECK(cudaGetLastError());
}

/// Channels that fill 16-byte packs take the wide kernel, all others go one by one.
template <typename T>
void forward_of(const T* x, T* y, const ResizeGeometry& g) {
    g.channels % full_pack<T> == 0 ? forward<T, full_pack<T>>(x, y, g) : forward<T, 1>(x, y, g);
}

template <typename T>
void backward_of(const T* first, const T* second, T* dx, const ResizeGeometry& g) {
    g.channels % full_pack<T> == 0 ? backward<T, full_pack<T>>(first, second, dx, g)
                                   : backward<T, 1>(first, second, dx, g);
}

}  // namespace

void launch_resize_forward(const float* x, float* y, const ResizeGeometry& g) {
    forward_of(x, y, g);
}
void launch_resize_forward(const bfloat16* x, bfloat16* y, const ResizeGeometry& g) {
    forward_of(x, y, g);
}

void launch_resize_backward(const float* first, const float* second, float* dx, const ResizeGeometry& g) {
    backward_of(first, second, dx, g);
}
void launch_resize_backward(const bfloat16* first, const bfloat16* second, bfloat16* dx,
                            const ResizeGeometry& g) {
    backward_of(first, second, dx, g);
}

}  // namespace terrane::cuda
