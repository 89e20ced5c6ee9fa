#include "cuda/sum_stream.hpp"

#include "cuda/sum_kernels.hpp"

namespace terrane::cuda {

// While work is recorded an event becomes an edge of the graph.
void CudaSumStream::follow_work() {
    work_so_far_.record(work_);
    work_so_far_.hold_up(sums_.queue());
}

void CudaSumStream::hold_up_work() {
    sums_so_far_.record(sums_.queue());
    sums_so_far_.hold_up(work_);
}

std::byte* CudaSumStream::room(std::size_t bytes) {
    if (room_.bytes() < bytes) room_ = allocate_device(bytes, sums_.queue());
    return room_.data();
}

void CudaSumStream::narrow(const float* values, bfloat16* narrowed, std::int64_t count) {
    cuda::narrow(sums_.queue(), values, narrowed, count);
}

void CudaSumStream::widen(const bfloat16* narrowed, float* values, std::int64_t count) {
    cuda::widen(sums_.queue(), narrowed, values, count);
}

}  // namespace terrane::cuda
