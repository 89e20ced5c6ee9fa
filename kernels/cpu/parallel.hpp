#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

/// Loops over threads. Bodies must not depend on which thread runs them; sums over several blocks are written
/// to one place per block and combined in a fixed order, so that results do not depend on the thread count.
namespace terrane::cpu {

/// Work below this many bytes of memory traffic runs on the calling thread: waking the others costs more.
inline constexpr std::int64_t serial_bytes = 128 * 1024;

/// body(block) for every block in [0, blocks); `bytes`: memory traffic of all of them.
template <typename Body>
void parallel_blocks(std::int64_t blocks, std::int64_t bytes, const Body& body) {
    if (blocks <= 1 || bytes < serial_bytes || omp_get_max_threads() == 1) {
        for (std::int64_t block = 0; block < blocks; ++block) body(block);
        return;
    }
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks; ++block) body(block);
}

/// body(begin, end) for disjoint ranges that cover [0, count), one per thread, cut at multiples of `grain`.
/// For element-wise work only: the cuts depend on the thread count.
template <typename Body>
void parallel_range(std::int64_t count, std::int64_t bytes, std::int64_t grain, const Body& body) {
    const std::int64_t threads = omp_get_max_threads();
    if (bytes < serial_bytes || threads == 1 || count <= grain) {
        if (count > 0) body(std::int64_t{0}, count);
        return;
    }
    const std::int64_t share = (count + threads * grain - 1) / (threads * grain) * grain;
#pragma omp parallel for schedule(static)
    for (std::int64_t thread = 0; thread < threads; ++thread) {
        const std::int64_t begin = std::min(count, thread * share);
        const std::int64_t end = std::min(count, begin + share);
        if (begin < end) body(begin, end);
    }
}

}  // namespace terrane::cpu
