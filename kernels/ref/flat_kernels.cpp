#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "formulas/update.hpp"
#include "ref/kernels.hpp"

namespace terrane::ref {

namespace {

/// Calls update(segment, element) for every element of every segment that is not frozen at `step`.
template <typename Update>
void for_each_element(std::span<const device::UpdateSegment> segments, std::size_t elements,
                      std::int64_t step, Update update) {
    for (const device::UpdateSegment& segment : segments) {
        TERRANE_ASSERT(segment.offset >= 0 && segment.length >= 0 &&
                           static_cast<std::size_t>(segment.offset + segment.length) <= elements,
                       "segment [{}, +{}) of {} parameters", segment.offset, segment.length, elements);
        if (segment.is_frozen(step)) continue;
        for (std::int64_t i = 0; i < segment.length; ++i) {
            update(segment, static_cast<std::size_t>(segment.offset + i));
        }
    }
}

}  // namespace

void RefFlatKernels::sgd(std::span<float> parameters, std::span<const float> gradients,
                         std::span<float> velocity, std::span<const device::UpdateSegment> segments,
                         const device::UpdateScalars& scalars) {
    for_each_element(segments, parameters.size(), scalars.step,
                     [&](const device::UpdateSegment& segment, std::size_t i) {
                         formulas::sgd_update(parameters[i], gradients[i], velocity[i],
                                              formulas::sgd_factors<double>(scalars, segment));
                     });
}

void RefFlatKernels::adamw(std::span<float> parameters, std::span<const float> gradients,
                           std::span<float> moment1, std::span<float> moment2,
                           std::span<const device::UpdateSegment> segments,
                           const device::UpdateScalars& scalars) {
    for_each_element(segments, parameters.size(), scalars.step,
                     [&](const device::UpdateSegment& segment, std::size_t i) {
                         formulas::adamw_update(parameters[i], gradients[i], moment1[i], moment2[i],
                                                formulas::adamw_factors<double>(scalars, segment));
                     });
}

double RefFlatKernels::sum_of_squares(std::span<const float> values) {
    double total = 0;
    for (std::size_t begin = 0; begin < values.size(); begin += formulas::sum_block) {
        double block = 0;
        const std::size_t end = std::min(values.size(), begin + formulas::sum_block);
        for (std::size_t i = begin; i < end; ++i) block += double{values[i]} * double{values[i]};
        total += block;
    }
    return total;
}

void RefFlatKernels::blend(std::span<float> average, std::span<const float> values, double keep) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        average[i] = formulas::blended(average[i], values[i], static_cast<float>(keep));
    }
}

void RefFlatKernels::add(std::span<float> sum, std::span<const float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

void RefFlatKernels::exchange(std::span<float> a, std::span<float> b) {
    std::swap_ranges(a.begin(), a.end(), b.begin());
}

bool RefFlatKernels::any_not_finite(std::span<const float> values) {
    for (const float value : values) {
        if (!std::isfinite(value)) return true;
    }
    return false;
}

}  // namespace terrane::ref
