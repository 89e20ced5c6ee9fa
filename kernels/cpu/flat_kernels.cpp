#include "cpu/flat_kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "cpu/isa.hpp"
#include "formulas/update.hpp"

namespace terrane::cpu {

namespace {

// 64 KB of floats per array: a block's arrays stay in the second-level cache, and there are enough blocks to
// share out.
constexpr std::int64_t block_size = 16384;

std::int64_t blocks_of(std::int64_t elements) {
    return (elements + block_size - 1) / block_size;
}

/// Calls update(begin, end, segment) for every piece of every segment that lies within one block, in
/// parallel.
template <typename Update>
void for_each_piece(std::int64_t elements, std::span<const device::UpdateSegment> segments,
                    const Update& update) {
    const std::int64_t blocks = blocks_of(elements);
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t first = block * block_size;
        const std::int64_t last = std::min(first + block_size, elements);
        auto segment = std::upper_bound(segments.begin(), segments.end(), first,
                                        [](std::int64_t position, const device::UpdateSegment& s) {
                                            return position < s.offset + s.length;
                                        });
        for (; segment != segments.end() && segment->offset < last; ++segment) {
            update(std::max(first, segment->offset), std::min(last, segment->offset + segment->length),
                   *segment);
        }
    }
}

TERRANE_INLINE void sgd_piece(float* __restrict w, const float* __restrict g, float* __restrict v,
                              std::int64_t count, const formulas::SgdFactors<float>& factors) {
    for (std::int64_t i = 0; i < count; ++i) formulas::sgd_update(w[i], g[i], v[i], factors);
}

TERRANE_INLINE void adamw_piece(float* __restrict w, const float* __restrict g, float* __restrict m,
                                float* __restrict v, std::int64_t count,
                                const formulas::AdamwFactors<float>& factors) {
    for (std::int64_t i = 0; i < count; ++i) formulas::adamw_update(w[i], g[i], m[i], v[i], factors);
}

TERRANE_INLINE void add_piece(float* __restrict sum, const float* __restrict values, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) sum[i] += values[i];
}

TERRANE_INLINE void blend_piece(float* __restrict average, const float* __restrict values, std::int64_t count,
                                float keep) {
    for (std::int64_t i = 0; i < count; ++i) average[i] = formulas::blended(average[i], values[i], keep);
}

TERRANE_INLINE double block_sum_of_squares(const float* values, std::int64_t count) {
    constexpr std::int64_t lanes = 16;
    std::array<double, lanes> sums{};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (std::int64_t lane = 0; lane < lanes; ++lane) {
            const double value = values[i + lane];
            sums[static_cast<std::size_t>(lane)] += value * value;
        }
    }
    for (; i < count; ++i) sums[0] += static_cast<double>(values[i]) * values[i];
    double sum = 0;
    for (double lane : sums) sum += lane;
    return sum;
}

TERRANE_INLINE std::uint32_t count_not_finite_of(const float* values, std::int64_t count) {
    std::uint32_t found = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        found += (std::bit_cast<std::uint32_t>(values[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
    }
    return found;
}

}  // namespace

void FlatKernels::sgd(std::span<float> parameters, std::span<const float> gradients,
                      std::span<float> velocity, std::span<float> average,
                      std::span<const device::UpdateSegment> segments, const device::UpdateScalars* scalars) {
    TERRANE_ASSERT(gradients.size() == parameters.size() && velocity.size() == parameters.size(),
                   "{} parameters, {} gradients, {} velocities", parameters.size(), gradients.size(),
                   velocity.size());
    if (!scalars->is_made) return;
    for_each_piece(std::ssize(parameters), segments,
                   [&](std::int64_t begin, std::int64_t end, const device::UpdateSegment& segment) {
                       if (formulas::is_frozen(segment, scalars->step)) return;
                       const auto factors = formulas::sgd_factors<float>(*scalars, segment);
                       vectorised([&] {
                           sgd_piece(parameters.data() + begin, gradients.data() + begin,
                                     velocity.data() + begin, end - begin, factors);
                       });
                   });
    if (!average.empty()) blend(average, parameters, scalars->average_keep);
}

void FlatKernels::adamw(std::span<float> parameters, std::span<const float> gradients,
                        std::span<float> moment1, std::span<float> moment2, std::span<float> average,
                        std::span<const device::UpdateSegment> segments,
                        const device::UpdateScalars* scalars) {
    TERRANE_ASSERT(gradients.size() == parameters.size() && moment1.size() == parameters.size() &&
                       moment2.size() == parameters.size(),
                   "{} parameters, {} gradients, {} and {} moments", parameters.size(), gradients.size(),
                   moment1.size(), moment2.size());
    if (!scalars->is_made) return;
    for_each_piece(std::ssize(parameters), segments,
                   [&](std::int64_t begin, std::int64_t end, const device::UpdateSegment& segment) {
                       if (formulas::is_frozen(segment, scalars->step)) return;
                       const auto factors = formulas::adamw_factors<float>(*scalars, segment);
                       vectorised([&] {
                           adamw_piece(parameters.data() + begin, gradients.data() + begin,
                                       moment1.data() + begin, moment2.data() + begin, end - begin, factors);
                       });
                   });
    if (!average.empty()) blend(average, parameters, scalars->average_keep);
}

void FlatKernels::sum_of_squares(std::span<const float> values, double* result) {
    const std::int64_t elements = std::ssize(values);
    const std::int64_t blocks = blocks_of(elements);
    block_sums_.resize(static_cast<std::size_t>(blocks));
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t first = block * block_size;
        double& sum = block_sums_[static_cast<std::size_t>(block)];
        vectorised([&] {
            sum = block_sum_of_squares(values.data() + first, std::min(block_size, elements - first));
        });
    }
    double sum = 0;
    for (double block_sum : block_sums_) sum += block_sum;
    *result = sum;
}

void FlatKernels::blend(std::span<float> average, std::span<const float> values, double keep) {
    TERRANE_ASSERT(average.size() == values.size(), "{} averages of {} values", average.size(),
                   values.size());
    const auto share = static_cast<float>(keep);
    const std::int64_t elements = std::ssize(values);
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks_of(elements); ++block) {
        const std::int64_t first = block * block_size, last = std::min(first + block_size, elements);
        vectorised([&] { blend_piece(average.data() + first, values.data() + first, last - first, share); });
    }
}

void FlatKernels::add(std::span<float> sum, std::span<const float> values) {
    TERRANE_ASSERT(sum.size() == values.size(), "{} sums of {} values", sum.size(), values.size());
    const std::int64_t elements = std::ssize(values);
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks_of(elements); ++block) {
        const std::int64_t first = block * block_size, last = std::min(first + block_size, elements);
        vectorised([&] { add_piece(sum.data() + first, values.data() + first, last - first); });
    }
}

void FlatKernels::exchange(std::span<float> a, std::span<float> b) {
    TERRANE_ASSERT(a.size() == b.size(), "{} against {} values", a.size(), b.size());
    const std::int64_t elements = std::ssize(a);
#pragma omp parallel for schedule(static)
    for (std::int64_t block = 0; block < blocks_of(elements); ++block) {
        const std::int64_t first = block * block_size, last = std::min(first + block_size, elements);
        std::swap_ranges(a.begin() + first, a.begin() + last, b.begin() + first);
    }
}

void FlatKernels::count_not_finite(std::span<const float> values, double* result) {
    const std::int64_t elements = std::ssize(values);
    const std::int64_t blocks = blocks_of(elements);
    std::int64_t found = 0;  // whole numbers: any order gives the same sum
#pragma omp parallel for schedule(static) reduction(+ : found)
    for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t first = block * block_size;
        std::uint32_t in_block = 0;
        vectorised([&] {
            in_block = count_not_finite_of(values.data() + first, std::min(block_size, elements - first));
        });
        found += in_block;
    }
    *result = static_cast<double>(found);
}

void FlatKernels::settle(std::span<float> values, std::span<float> kept, const device::UpdateRecord* record) {
    TERRANE_ASSERT(values.size() == kept.size(), "{} values, {} kept", values.size(), kept.size());
    if (record->verdict == device::Verdict::made) {
        std::copy(values.begin(), values.end(), kept.begin());
    } else {
        std::copy(kept.begin(), kept.end(), values.begin());
    }
}

}  // namespace terrane::cpu
