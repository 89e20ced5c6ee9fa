#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "formulas/update.hpp"
#include "ref/kernels.hpp"

namespace terrane::ref {

namespace {

/// Calls update(segment, element) for every element of every segment that is not frozen.
template <typename Update>
void for_each_element(std::span<const device::UpdateSegment> segments, std::size_t elements,
                      const device::UpdateScalars& scalars, Update update) {
    if (!scalars.is_made) return;
    for (const device::UpdateSegment& segment : segments) {
        TERRANE_ASSERT(segment.offset >= 0 && segment.length >= 0 &&
                           static_cast<std::size_t>(segment.offset + segment.length) <= elements,
                       "segment [{}, +{}) of {} parameters", segment.offset, segment.length, elements);
        if (formulas::is_frozen(segment, scalars.step)) continue;
        for (std::int64_t i = 0; i < segment.length; ++i) {
            update(segment, static_cast<std::size_t>(segment.offset + i));
        }
    }
}

void follow(std::span<float> average, std::span<const float> parameters,
            const device::UpdateScalars& scalars) {
    if (!scalars.is_made) return;
    for (std::size_t i = 0; i < average.size(); ++i) {
        average[i] = formulas::blended(average[i], parameters[i], static_cast<float>(scalars.average_keep));
    }
}

}  // namespace

void RefFlatKernels::sgd(std::span<float> parameters, std::span<const float> gradients,
                         std::span<float> velocity, std::span<float> average,
                         std::span<const device::UpdateSegment> segments,
                         const device::UpdateScalars* scalars) {
    for_each_element(segments, parameters.size(), *scalars,
                     [&](const device::UpdateSegment& segment, std::size_t i) {
                         formulas::sgd_update(parameters[i], gradients[i], velocity[i],
                                              formulas::sgd_factors<double>(*scalars, segment));
                     });
    follow(average, parameters, *scalars);
}

void RefFlatKernels::adamw(std::span<float> parameters, std::span<const float> gradients,
                           std::span<float> moment1, std::span<float> moment2, std::span<float> average,
                           std::span<const device::UpdateSegment> segments,
                           const device::UpdateScalars* scalars) {
    for_each_element(segments, parameters.size(), *scalars,
                     [&](const device::UpdateSegment& segment, std::size_t i) {
                         formulas::adamw_update(parameters[i], gradients[i], moment1[i], moment2[i],
                                                formulas::adamw_factors<double>(*scalars, segment));
                     });
    follow(average, parameters, *scalars);
}

void RefFlatKernels::sum_of_squares(std::span<const float> values, double* result) {
    double total = 0;
    for (std::size_t begin = 0; begin < values.size(); begin += formulas::sum_block) {
        double block = 0;
        const std::size_t end = std::min(values.size(), begin + formulas::sum_block);
        for (std::size_t i = begin; i < end; ++i) block += double{values[i]} * double{values[i]};
        total += block;
    }
    *result = total;
}

void RefFlatKernels::count_not_finite(std::span<const float> values, double* result) {
    *result = 0;
    for (const float value : values) *result += std::isfinite(value) ? 0 : 1;
}

void RefFlatKernels::settle(std::span<float> values, std::span<float> kept,
                            const device::UpdateRecord* record) {
    if (record->verdict == device::Verdict::made) {
        std::copy(values.begin(), values.end(), kept.begin());
    } else {
        std::copy(kept.begin(), kept.end(), values.begin());
    }
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

}  // namespace terrane::ref
