#pragma once

#include "cuda/nccl_calls.hpp"
#include "cuda/runtime.hpp"

namespace terrane::cuda {

/// The stream of sums over ranks beside the backend's own.
class CudaSumStream final : public SumStream {
  public:
    explicit CudaSumStream(Queue work) : work_(work) {}

    Queue queue() const override { return sums_.queue(); }
    void follow_work() override;
    void hold_up_work() override;
    /// Grows only while steps run one by one: a recording finds it large enough.
    std::byte* room(std::size_t bytes) override;
    void narrow(const float* values, bfloat16* narrowed, std::int64_t count) override;
    void widen(const bfloat16* narrowed, float* values, std::int64_t count) override;

  private:
    Queue work_;
    Stream sums_;
    Event work_so_far_, sums_so_far_;
    device::Buffer room_;
};

}  // namespace terrane::cuda
