#include "cuda/runtime.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace terrane::cuda {

namespace {

[[noreturn]] void out_of_memory(std::size_t bytes, const char* kind) {
    throw Error(ExitCode::device_unavailable, 710,
                fmt::format("{} MB of {} can't be allocated.", bytes >> 20, kind),
                "Use a smaller batch or crop; 'terrane inspect' prints the memory plan.");
}

}  // namespace

void check(cudaError_t status, const char* call) {
    if (status == cudaSuccess) return;
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();  // this failure is reported here and must not surface in a later check
        throw Error(ExitCode::device_unavailable, 710, fmt::format("GPU memory is short: {}.", call),
                    "Use a smaller batch or crop; 'terrane inspect' prints the memory plan.");
    }
    throw Error(
        ExitCode::device_unavailable, 714,
        fmt::format("CUDA call {} failed: {} ({}).", call, cudaGetErrorString(status),
                    cudaGetErrorName(status)),
        "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be restarted.");
}

device::WorkCounts& work_counts() {
    static device::WorkCounts counts;
    return counts;
}

void check_launch() {
    ++work_counts().launches;
    TERRANE_CUDA_CHECK(cudaGetLastError());
}

Stream::Stream() {
    TERRANE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}
Stream::~Stream() {
    static_cast<void>(cudaStreamDestroy(stream_));
}
void Stream::synchronise() const {
    ++work_counts().host_waits;
    TERRANE_CUDA_CHECK(cudaStreamSynchronize(stream_));
}
bool Stream::is_done() const {
    const cudaError_t status = cudaStreamQuery(stream_);
    if (status == cudaErrorNotReady) return false;
    check(status, "cudaStreamQuery");
    return true;
}

Event::Event() {
    TERRANE_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
}
Event::~Event() {
    static_cast<void>(cudaEventDestroy(event_));
}
void Event::record(Queue queue) {
    TERRANE_CUDA_CHECK(cudaEventRecord(event_, queue.stream));
}
void Event::hold_up(Queue queue) const {
    TERRANE_CUDA_CHECK(cudaStreamWaitEvent(queue.stream, event_));
}
bool Event::is_done() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) return false;
    check(status, "cudaEventQuery");
    return true;
}
void Event::wait() const {
    if (is_done()) return;  // waiting where nothing is left to wait for is none
    ++work_counts().host_waits;
    TERRANE_CUDA_CHECK(cudaEventSynchronize(event_));
}

device::Buffer allocate_device(std::size_t bytes, Queue queue) {
    if (bytes == 0) return {};
    void* block = nullptr;
    ++work_counts().allocations;
    const cudaError_t status = cudaMalloc(&block, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        out_of_memory(bytes, "GPU memory");
    }
    TERRANE_CUDA_CHECK(status);
    device::Buffer buffer(static_cast<std::byte*>(block), bytes,
                          [](std::byte* data) { static_cast<void>(cudaFree(data)); });
    TERRANE_CUDA_CHECK(cudaMemsetAsync(block, 0, bytes, queue.stream));
    return buffer;
}

device::Buffer allocate_pinned(std::size_t bytes) {
    if (bytes == 0) return {};
    void* block = nullptr;
    ++work_counts().allocations;
    const cudaError_t status = cudaMallocHost(&block, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        out_of_memory(bytes, "pinned host memory");
    }
    TERRANE_CUDA_CHECK(status);
    return {static_cast<std::byte*>(block), bytes,
            [](std::byte* data) { static_cast<void>(cudaFreeHost(data)); }};
}

std::byte* UploadRing::claim(std::size_t bytes, Queue queue) {
    if (memory_.data() == nullptr) memory_ = allocate_pinned(2 * half_bytes_);
    if (used_ + bytes > half_bytes_) {
        done_[half_].record(queue);
        busy_[half_] = true;
        half_ = 1 - half_;
        used_ = 0;
        if (busy_[half_]) done_[half_].wait();
        busy_[half_] = false;
    }
    std::byte* const place = memory_.data() + static_cast<std::size_t>(half_) * half_bytes_ + used_;
    used_ += device::aligned(bytes);
    return place;
}

void UploadRing::copy(std::byte* device, const std::byte* host, std::size_t bytes, Queue queue) {
    while (bytes > 0) {
        const std::size_t piece = std::min(bytes, half_bytes_);
        std::byte* const aside = claim(piece, queue);
        std::memcpy(aside, host, piece);
        ++work_counts().launches;
        TERRANE_CUDA_CHECK(cudaMemcpyAsync(device, aside, piece, cudaMemcpyHostToDevice, queue.stream));
        device += piece;
        host += piece;
        bytes -= piece;
    }
}

}  // namespace terrane::cuda
