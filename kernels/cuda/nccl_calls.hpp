#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/queue.hpp"
#include "tensor/dtype.hpp"

struct ncclComm;

namespace terrane::cuda {

/// Numbers as in nccl.h.
enum class NcclResult {
    success,
    unhandled_cuda_error,
    system_error,
    internal_error,
    invalid_argument,
    invalid_usage,
    remote_error,
    in_progress,
};

/// What of NCCL is used, call by call, without its header: tests put ranks that fail or never come in its
/// place. Communicators do not block: a call may answer in_progress, and state() then tells how it ended.
class NcclCalls {
  public:
    virtual ~NcclCalls() = default;

    virtual std::string library() const = 0;  ///< "NCCL 2.28.9"
    virtual NcclResult make_id(std::string& id) = 0;
    virtual NcclResult begin_communicator(ncclComm*& communicator, int ranks, const std::string& id,
                                          int rank) = 0;
    /// How the last call ended, or in_progress; also reports what has happened to a communicator since.
    virtual NcclResult state(ncclComm* communicator) = 0;
    /// In place, over all ranks. f32, f64, bf16 or i64.
    virtual NcclResult sum(void* values, std::int64_t count, DType type, ncclComm* communicator,
                           Queue queue) = 0;
    virtual NcclResult begin_finalising(ncclComm* communicator) = 0;
    virtual NcclResult destroy(ncclComm* communicator) = 0;
    virtual NcclResult abort(ncclComm* communicator) = 0;
    /// In NCCL's words, with what it last complained about.
    virtual std::string explain(NcclResult result, ncclComm* communicator) = 0;
};

/// The stream that sums run in, beside the one that the backend's work is in.
class SumStream {
  public:
    virtual ~SumStream() = default;

    virtual Queue queue() const = 0;
    /// What comes next waits for all work that the backend has queued so far.
    virtual void follow_work() = 0;
    /// The work that the backend queues next waits for all that is in here.
    virtual void hold_up_work() = 0;
    /// Device memory of at least so many bytes, kept from call to call.
    virtual std::byte* room(std::size_t bytes) = 0;
    virtual void narrow(const float* values, bfloat16* narrowed, std::int64_t count) = 0;
    virtual void widen(const bfloat16* narrowed, float* values, std::int64_t count) = 0;
};

/// By nccl_library.cpp, or by no_nccl.cpp, which gives null.
std::unique_ptr<NcclCalls> make_nccl_calls();
/// "nccl 2.28.9"; empty by no_nccl.cpp.
std::string nccl_version();

}  // namespace terrane::cuda
