#pragma once

struct CUstream_st;

namespace terrane::cuda {

/// The stream that kernels are put in, by CUDA's own opaque type, so that no vendor header is needed to name
/// it. Null where a host runs the threads itself (tests).
struct Queue {
    CUstream_st* stream = nullptr;
};

}  // namespace terrane::cuda
