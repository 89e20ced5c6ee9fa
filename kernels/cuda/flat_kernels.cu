// Optimizer updates, sums and exchanges over the flat parameter buffers.
#include "cuda/flat_kernels.hpp"

#include "cuda/sums.hpp"
#include "formulas/update.hpp"

namespace terrane::cuda {

namespace {

/// A run of parameters with its factors; runs are sorted and disjoint.
template <typename Factors>
struct Segment {
    std::int64_t begin, end;
    Factors factors;
};

struct SgdRule {
    using Factors = formulas::SgdFactors<float>;
    float* parameters;
    const float* gradients;
    float* velocity;

    static Factors factors(const device::UpdateScalars& scalars, const device::UpdateSegment& segment) {
        return formulas::sgd_factors<float>(scalars, segment);
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first, const Factors& factors) const {
        float w[width], g[width], v[width];
        load<width>(parameters, first, w);
        load<width>(gradients, first, g);
        load<width>(velocity, first, v);
        for (int i = 0; i < width; ++i) formulas::sgd_update(w[i], g[i], v[i], factors);
        store<width>(parameters, first, w);
        store<width>(velocity, first, v);
    }
};

struct AdamwRule {
    using Factors = formulas::AdamwFactors<float>;
    float* parameters;
    const float* gradients;
    float *moment1, *moment2;

    static Factors factors(const device::UpdateScalars& scalars, const device::UpdateSegment& segment) {
        return formulas::adamw_factors<float>(scalars, segment);
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first, const Factors& factors) const {
        float w[width], g[width], m[width], v[width];
        load<width>(parameters, first, w);
        load<width>(gradients, first, g);
        load<width>(moment1, first, m);
        load<width>(moment2, first, v);
        for (int i = 0; i < width; ++i) formulas::adamw_update(w[i], g[i], m[i], v[i], factors);
        store<width>(parameters, first, w);
        store<width>(moment1, first, m);
        store<width>(moment2, first, v);
    }
};

/// Item: a pack of parameters, updated at once where one segment holds all of it.
template <typename Rule>
struct Update {
    static constexpr int width = full_pack<float>;
    Rule rule;
    const Segment<typename Rule::Factors>* segments;
    std::int64_t count, elements;

    /// The first segment that ends behind `element`.
    TERRANE_HOST_DEVICE std::int64_t find(std::int64_t element) const {
        std::int64_t low = 0, high = count;
        while (low < high) {
            const std::int64_t middle = (low + high) / 2;
            if (segments[middle].end > element) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }
    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t begin = item * width, end = begin + width < elements ? begin + width : elements;
        std::int64_t at = find(begin);
        if (at < count && segments[at].begin <= begin && segments[at].end >= begin + width) {
            rule.template apply<width>(begin, segments[at].factors);
            return;
        }
        for (std::int64_t i = begin; i < end; ++i) {
            while (at < count && segments[at].end <= i) ++at;
            if (at < count && segments[at].begin <= i) rule.template apply<1>(i, segments[at].factors);
        }
    }
};

struct Squares {
    static constexpr int sums = 1;
    const float* values;
    double* result;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t i, double (&own)[1]) const {
        own[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const { *result = total[0]; }
};

struct NotFinite {
    static constexpr int sums = 1;
    const float* values;
    double* result;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t i, double (&own)[1]) const {
        // Neither infinity nor NaN is equal to itself times zero.
        own[0] += values[i] * 0.0f == 0.0f ? 0 : 1;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const { *result = total[0]; }
};

struct Blend {
    float* average;
    const float* values;
    float keep;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float kept[width], fresh[width];
        load<width>(average, first, kept);
        load<width>(values, first, fresh);
        for (int i = 0; i < width; ++i) kept[i] = formulas::blended(kept[i], fresh[i], keep);
        store<width>(average, first, kept);
    }
};

struct AddTo {
    float* sum;
    const float* values;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float so_far[width], more[width];
        load<width>(sum, first, so_far);
        load<width>(values, first, more);
        for (int i = 0; i < width; ++i) so_far[i] += more[i];
        store<width>(sum, first, so_far);
    }
};

struct Exchange {
    float *a, *b;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float of_a[width], of_b[width];
        load<width>(a, first, of_a);
        load<width>(b, first, of_b);
        store<width>(a, first, of_b);
        store<width>(b, first, of_a);
    }
};

std::int64_t count_of(std::span<const float> values) {
    return static_cast<std::int64_t>(values.size());
}

}  // namespace

std::byte* FlatKernels::scratch(std::size_t bytes) {
    if (scratch_.bytes() < bytes) scratch_ = memory_.allocate(bytes);
    return scratch_.data();
}

template <typename Rule>
void FlatKernels::update(std::size_t elements, std::span<const device::UpdateSegment> segments,
                         const device::UpdateScalars& scalars, Rule rule) {
    std::vector<Segment<typename Rule::Factors>> table;
    for (const device::UpdateSegment& segment : segments) {
        TERRANE_ASSERT(segment.offset >= 0 && segment.length >= 0 &&
                           static_cast<std::size_t>(segment.offset + segment.length) <= elements,
                       "segment [{}, +{}) of {} parameters", segment.offset, segment.length, elements);
        if (segment.is_frozen(scalars.step) || segment.length == 0) continue;
        table.push_back({segment.offset, segment.offset + segment.length, Rule::factors(scalars, segment)});
    }
    if (table.empty()) return;
    const std::size_t bytes = table.size() * sizeof(table[0]);
    std::byte* const on_device = scratch(bytes);
    memory_.copy_to_device(on_device, reinterpret_cast<const std::byte*>(table.data()), bytes);
    const auto count = static_cast<std::int64_t>(elements);
    launch(queue_, (count + Update<Rule>::width - 1) / Update<Rule>::width,
           Update<Rule>{rule, reinterpret_cast<const Segment<typename Rule::Factors>*>(on_device),
                        static_cast<std::int64_t>(table.size()), count});
}

void FlatKernels::sgd(std::span<float> parameters, std::span<const float> gradients,
                      std::span<float> velocity, std::span<const device::UpdateSegment> segments,
                      const device::UpdateScalars& scalars) {
    update(parameters.size(), segments, scalars,
           SgdRule{parameters.data(), gradients.data(), velocity.data()});
}

void FlatKernels::adamw(std::span<float> parameters, std::span<const float> gradients,
                        std::span<float> moment1, std::span<float> moment2,
                        std::span<const device::UpdateSegment> segments,
                        const device::UpdateScalars& scalars) {
    update(parameters.size(), segments, scalars,
           AdamwRule{parameters.data(), gradients.data(), moment1.data(), moment2.data()});
}

double* FlatKernels::room_for_sums() {
    // More items never make more chunks than this.
    constexpr std::int64_t many = std::int64_t{1} << 40;
    if (sums_.bytes() == 0) sums_ = memory_.allocate(SumGeometry(1, many).bytes(1) + sizeof(double));
    return reinterpret_cast<double*>(sums_.data());
}

template <typename Work>
void FlatKernels::queue_sum(std::span<const float> values, double* result) {
    launch_sums(queue_, SumGeometry(1, count_of(values)), room_for_sums(), Work{values.data(), result});
}

template <typename Work>
double FlatKernels::sum(std::span<const float> values) {
    if (values.empty()) return 0;
    double* const result = room_for_sums() + sums_.bytes() / sizeof(double) - 1;
    queue_sum<Work>(values, result);
    double total = 0;
    memory_.copy_to_host(reinterpret_cast<std::byte*>(&total), reinterpret_cast<const std::byte*>(result),
                         sizeof(total));
    return total;
}

double FlatKernels::sum_of_squares(std::span<const float> values) {
    return sum<Squares>(values);
}

bool FlatKernels::any_not_finite(std::span<const float> values) {
    return sum<NotFinite>(values) > 0;
}

void FlatKernels::queue_sum_of_squares(std::span<const float> values, double* result) {
    queue_sum<Squares>(values, result);
}

void FlatKernels::queue_count_of_not_finite(std::span<const float> values, double* result) {
    queue_sum<NotFinite>(values, result);
}

void FlatKernels::blend(std::span<float> average, std::span<const float> values, double keep) {
    launch_elements<float>(queue_, count_of(values),
                           Blend{average.data(), values.data(), static_cast<float>(keep)});
}

void FlatKernels::add(std::span<float> sum, std::span<const float> values) {
    launch_elements<float>(queue_, count_of(values), AddTo{sum.data(), values.data()});
}

void FlatKernels::exchange(std::span<float> a, std::span<float> b) {
    launch_elements<float>(queue_, count_of(a), Exchange{a.data(), b.data()});
}

}  // namespace terrane::cuda
