#pragma once

#include <cstdint>

#include "formulas/host_device.hpp"

/// Threads that work together: a warp or a block, with memory they share.
namespace terrane::cuda {

inline constexpr int block_threads = 256;
inline constexpr int warp_threads = 32;

/// Whether a host that plays the threads of a team does so from the last to the first. A kernel whose result
/// depends on it lacks a barrier.
inline bool host_threads_descend = false;

/// A kernel that needs a team is written as a sequence of team.each(body): every thread runs body(thread),
/// then all wait for each other. What threads hand on from one body to the next lies in `shared`; code
/// between the bodies is run by every thread alike and writes nothing. On a host the threads of a body run
/// one after another, by which tests without a GPU run every thread of every kernel.
template <int threads, typename Shared>
struct Team {
    static constexpr int size = threads;
    Shared& shared;

    template <typename Body>
    TERRANE_HOST_DEVICE void each(Body body) {
#ifdef __CUDA_ARCH__
        body(static_cast<int>(threadIdx.x) % threads);
        if constexpr (threads == warp_threads) {
            __syncwarp();
        } else {
            __syncthreads();
        }
#else
        for (int thread = 0; thread < threads; ++thread) {
            body(host_threads_descend ? threads - 1 - thread : thread);
        }
#endif
    }

    /// Joins values[0 .. size) in the order of a fixed tree; the result is values[0] for all threads.
    template <typename Value, typename Join>
    TERRANE_HOST_DEVICE void join(Value* values, Join join) {
        for (int half = threads / 2; half > 0; half /= 2) {
            each([&](int thread) {
                if (thread < half) values[thread] = join(values[thread], values[thread + half]);
            });
        }
    }
    template <typename Value>
    TERRANE_HOST_DEVICE void sum(Value* values) {
        join(values, [](Value a, Value b) { return a + b; });
    }
};

}  // namespace terrane::cuda
