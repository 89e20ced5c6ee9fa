#include "cpu/class_rows.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/row_loss_plan.hpp"

namespace terrane::cpu {

/// Logits minus their maximum.
TERRANE_INLINE void shift_to_maximum(const ClassRow& row) {
    float* const maximum = row.scratch(3);
#pragma omp simd
    for (std::int64_t x = 0; x < row.width; ++x) maximum[x] = row.planes[x];
    for (std::int64_t c = 1; c < row.classes; ++c) {
        const float* const plane = row.plane(c);
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x)
            maximum[x] = plane[x] > maximum[x] ? plane[x] : maximum[x];
    }
    for (std::int64_t c = 0; c < row.classes; ++c) {
        float* const plane = row.plane(c);
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x) plane[x] -= maximum[x];
    }
}

/// Weighted entropy of one row, and with `slopes` its derivative by the upsampled logits.
template <RowGradient slopes>
struct DistanceEntropyRow {
    const std::uint8_t* distances;
    float loss_weight;
    double* totals;  ///< per block {losses, pixels with a distance}

    static DistanceEntropyRow make(const ops::DistanceEntropy& op, const device::ForwardArguments& arguments,
                                   std::int64_t, double* totals) {
        return {arguments.inputs[1].as<std::uint8_t>(), static_cast<float>(op.loss_weight), totals};
    }

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const distance = distances + (row.sample * height + row.y) * row.width;
        float* const log_sum = row.scratch(0);
        float* const mean = row.scratch(1);
        float* const weight = row.scratch(2);
        const std::int64_t width = row.width;
        shift_to_maximum(row);
#pragma omp simd
        for (std::int64_t x = 0; x < width; ++x) {
            log_sum[x] = 0;
            mean[x] = 0;
        }
        for (std::int64_t c = 0; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
#pragma omp simd
            for (std::int64_t x = 0; x < width; ++x) {
                const float power = exponential(plane[x]);
                log_sum[x] += power;
                mean[x] += power * plane[x];
            }
        }
#pragma omp simd
        for (std::int64_t x = 0; x < width; ++x) {
            mean[x] /= log_sum[x];  // of the logits; of log p it is that minus log_sum
            log_sum[x] = logarithm(log_sum[x]);
            weight[x] = static_cast<float>(distance[x]) * (1.0f / 255.0f);
        }
        if (row.owned) {
            totals[2 * row.block] += static_cast<double>(
                lane_sum(width, [&](std::int64_t x) { return weight[x] * (log_sum[x] - mean[x]); }));
            totals[2 * row.block + 1] += static_cast<double>(
                lane_sum(width, [&](std::int64_t x) { return distance[x] > 0 ? 1.0f : 0.0f; }));
        }
        if constexpr (slopes == RowGradient::yes) {
            for (std::int64_t c = 0; c < row.classes; ++c) {
                float* const plane = row.plane(c);
#pragma omp simd
                for (std::int64_t x = 0; x < width; ++x) {
                    const float p = exponential(plane[x] - log_sum[x]);
                    plane[x] = loss_weight * weight[x] * p * (mean[x] - plane[x]);
                }
            }
        }
    }
};

namespace {

template <typename T>
using DistanceEntropyPlan = RowLossPlan<ops::DistanceEntropy, DistanceEntropyRow, T>;

}  // namespace

Offer make_distance_entropy(const device::PlanRequest& request) {
    return offer_by_type<DistanceEntropyPlan>(request);
}

}  // namespace terrane::cpu
