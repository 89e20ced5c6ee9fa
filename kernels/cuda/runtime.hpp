#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "cuda/queue.hpp"
#include "device/buffer.hpp"
#include "device/work_counts.hpp"

namespace terrane::cuda {

/// Throws Error E0714 with the call's text and CUDA's own words if the call failed; E0710 if memory is short.
void check(cudaError_t status, const char* call);

/// What this process has asked of its device so far; not synchronised: one thread at a time queues work.
device::WorkCounts& work_counts();

/// Owner of a stream that does not wait for the default one.
class Stream {
  public:
    Stream();
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    Queue queue() const { return {stream_}; }
    /// Returns when everything queued has finished.
    void synchronise() const;
    /// Whether it has. Throws Error E0714 if it failed.
    bool is_done() const;

  private:
    cudaStream_t stream_ = nullptr;
};

/// Owner of an event without timing, by which a host or another stream waits for a place in a stream.
class Event {
  public:
    Event();
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(Queue queue);
    /// What is put in the queue from now on waits until the place recorded last is reached; so recording anew
    /// does not move what waits already.
    void hold_up(Queue queue) const;
    bool is_done() const;  ///< whether the place recorded last is reached
    void wait() const;

  private:
    cudaEvent_t event_ = nullptr;
};

/// Zeroed device memory. Throws Error E0710 if there is not enough.
device::Buffer allocate_device(std::size_t bytes, Queue queue);
/// Host memory that the device reads and writes without a detour. Throws Error E0710.
device::Buffer allocate_pinned(std::size_t bytes);

/// Copies from ordinary host memory without making the host wait for the device: what is to be copied is put
/// aside in pinned memory, a ring of two halves; a half is used again when the copies out of it have
/// finished.
class UploadRing {
  public:
    explicit UploadRing(std::size_t half_bytes) : half_bytes_(half_bytes) {}
    /// Queues the copy; `host` may be changed at once. More than a half's bytes go in pieces.
    void copy(std::byte* device, const std::byte* host, std::size_t bytes, Queue queue);

  private:
    std::byte* claim(std::size_t bytes, Queue queue);

    std::size_t half_bytes_;
    device::Buffer memory_;
    Event done_[2];
    bool busy_[2] = {false, false};
    int half_ = 0;
    std::size_t used_ = 0;
};

}  // namespace terrane::cuda

/// Every CUDA call goes through here, once.
#define TERRANE_CUDA_CHECK(call) ::terrane::cuda::check((call), #call)
