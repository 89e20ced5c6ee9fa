// Optimizer updates, sums and exchanges over the flat parameter buffers.
#include "cuda/flat_kernels.hpp"

#include "cuda/sums.hpp"
#include "formulas/update.hpp"
#include "formulas/update_verdict.hpp"

namespace terrane::cuda {

namespace {

/// A run of parameters with its factors; runs are sorted and disjoint.
template <typename Factors>
struct Segment {
    std::int64_t begin, end;
    bool moves;  ///< false: frozen, or the whole update is not made
    float average_keep;
    Factors factors;
};

struct SgdRule {
    using Factors = formulas::SgdFactors<float>;
    float* parameters;
    const float* gradients;
    float* velocity;
    float* average;  ///< null: there is none

    TERRANE_HOST_DEVICE static Factors factors(const device::UpdateScalars& scalars,
                                               const device::UpdateSegment& segment) {
        return formulas::sgd_factors<float>(scalars, segment);
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first, const Factors& factors, float (&w)[width]) const {
        float g[width], v[width];
        load<width>(gradients, first, g);
        load<width>(velocity, first, v);
        for (int i = 0; i < width; ++i) formulas::sgd_update(w[i], g[i], v[i], factors);
        store<width>(velocity, first, v);
    }
};

struct AdamwRule {
    using Factors = formulas::AdamwFactors<float>;
    float* parameters;
    const float* gradients;
    float *moment1, *moment2;
    float* average;  ///< null: there is none

    TERRANE_HOST_DEVICE static Factors factors(const device::UpdateScalars& scalars,
                                               const device::UpdateSegment& segment) {
        return formulas::adamw_factors<float>(scalars, segment);
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first, const Factors& factors, float (&w)[width]) const {
        float g[width], m[width], v[width];
        load<width>(gradients, first, g);
        load<width>(moment1, first, m);
        load<width>(moment2, first, v);
        for (int i = 0; i < width; ++i) formulas::adamw_update(w[i], g[i], m[i], v[i], factors);
        store<width>(moment1, first, m);
        store<width>(moment2, first, v);
    }
};

/// Item: a segment, whose factors are computed for all its parameters.
template <typename Rule>
struct PrepareSegment {
    using Entry = Segment<typename Rule::Factors>;
    const device::UpdateSegment* segments;
    const device::UpdateScalars* scalars;
    Entry* table;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const device::UpdateSegment segment = segments[item];
        Entry entry{segment.offset, segment.offset + segment.length,
                    scalars->is_made && !formulas::is_frozen(segment, scalars->step),
                    static_cast<float>(scalars->average_keep), typename Rule::Factors{}};
        if (entry.moves) entry.factors = Rule::factors(*scalars, segment);
        table[item] = entry;
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
    template <int pack>
    TERRANE_HOST_DEVICE void apply(std::int64_t first, const Segment<typename Rule::Factors>& segment) const {
        if (!segment.moves) return;
        float w[pack];
        load<pack>(rule.parameters, first, w);
        rule.template apply<pack>(first, segment.factors, w);
        store<pack>(rule.parameters, first, w);
        if (rule.average == nullptr) return;
        float average[pack];
        load<pack>(rule.average, first, average);
        for (int i = 0; i < pack; ++i) average[i] = formulas::blended(average[i], w[i], segment.average_keep);
        store<pack>(rule.average, first, average);
    }
    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t begin = item * width, end = begin + width < elements ? begin + width : elements;
        std::int64_t at = find(begin);
        if (at < count && segments[at].begin <= begin && segments[at].end >= begin + width) {
            apply<width>(begin, segments[at]);
            return;
        }
        for (std::int64_t i = begin; i < end; ++i) {
            while (at < count && segments[at].end <= i) ++at;
            if (at < count && segments[at].begin <= i) apply<1>(i, segments[at]);
        }
    }
};

/// One item. Losses beyond the first few are added to what the first ones gave.
struct TotalLosses {
    static constexpr std::int64_t most = 16;
    device::LossTerm losses[most];
    std::int64_t count;
    bool adds;
    double* totals;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const {
        double own[2];
        formulas::total_losses(losses, count, own);
        totals[0] = adds ? totals[0] + own[0] : own[0];
        if (!adds) totals[1] = own[1];
    }
};

/// One item.
struct Gather {
    device::UpdateFacts facts;
    device::UpdateRecord* record;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const { formulas::gather(facts, *record); }
};

/// One item.
struct Judge {
    device::UpdateRules rules;
    device::UpdateRecord* record;
    float* loss_scale;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const {
        formulas::judge(rules, *record);
        if (loss_scale != nullptr) *loss_scale = static_cast<float>(record->loss_scale.value);
    }
};

struct Settle {
    float *values, *kept;
    const device::UpdateRecord* record;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        const bool is_made = record->verdict == device::Verdict::made;
        float numbers[width];
        load<width>(is_made ? values : kept, first, numbers);
        store<width>(is_made ? kept : values, first, numbers);
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
    if (scratch_.empty() || scratch_.back().bytes() < bytes) scratch_.push_back(memory_.allocate(bytes));
    return scratch_.back().data();
}

template <typename Rule>
void FlatKernels::update(std::size_t elements, std::span<const device::UpdateSegment> segments,
                         const device::UpdateScalars* scalars, const Rule& rule) {
    using Entry = Segment<typename Rule::Factors>;
    auto* const table = reinterpret_cast<Entry*>(scratch(segments.size() * sizeof(Entry)));
    const auto runs = static_cast<std::int64_t>(segments.size());
    launch(queue_, runs, PrepareSegment<Rule>{segments.data(), scalars, table});
    const auto count = static_cast<std::int64_t>(elements);
    launch(queue_, (count + Update<Rule>::width - 1) / Update<Rule>::width,
           Update<Rule>{rule, table, runs, count});
}

void FlatKernels::sgd(std::span<float> parameters, std::span<const float> gradients,
                      std::span<float> velocity, std::span<float> average,
                      std::span<const device::UpdateSegment> segments, const device::UpdateScalars* scalars) {
    update(parameters.size(), segments, scalars,
           SgdRule{parameters.data(), gradients.data(), velocity.data(),
                   average.empty() ? nullptr : average.data()});
}

void FlatKernels::adamw(std::span<float> parameters, std::span<const float> gradients,
                        std::span<float> moment1, std::span<float> moment2, std::span<float> average,
                        std::span<const device::UpdateSegment> segments,
                        const device::UpdateScalars* scalars) {
    update(parameters.size(), segments, scalars,
           AdamwRule{parameters.data(), gradients.data(), moment1.data(), moment2.data(),
                     average.empty() ? nullptr : average.data()});
}

template <typename Work>
void FlatKernels::queue_sum(std::span<const float> values, double* result) {
    // More items never make more chunks than this.
    constexpr std::int64_t many = std::int64_t{1} << 40;
    if (sums_.bytes() == 0) sums_ = memory_.allocate(SumGeometry(1, many).bytes(1));
    launch_sums(queue_, SumGeometry(1, count_of(values)), reinterpret_cast<double*>(sums_.data()),
                Work{values.data(), result});
}

void FlatKernels::sum_of_squares(std::span<const float> values, double* result) {
    queue_sum<Squares>(values, result);
}

void FlatKernels::count_not_finite(std::span<const float> values, double* result) {
    queue_sum<NotFinite>(values, result);
}

void FlatKernels::total_losses(std::span<const device::LossTerm> losses, double* totals) {
    for (std::size_t done = 0; done < losses.size(); done += TotalLosses::most) {
        TotalLosses work{};
        const auto part =
            losses.subspan(done, std::min<std::size_t>(losses.size() - done, TotalLosses::most));
        std::copy(part.begin(), part.end(), work.losses);
        work.count = static_cast<std::int64_t>(part.size());
        work.adds = done > 0;
        work.totals = totals;
        launch(queue_, 1, work);
    }
}

void FlatKernels::gather(const device::UpdateFacts& facts, device::UpdateRecord* record) {
    launch(queue_, 1, Gather{facts, record});
}

void FlatKernels::judge(const device::UpdateRules& rules, device::UpdateRecord* record, float* loss_scale) {
    launch(queue_, 1, Judge{rules, record, loss_scale});
}

void FlatKernels::settle(std::span<float> values, std::span<float> kept, const device::UpdateRecord* record) {
    launch_elements<float>(queue_, count_of(values), Settle{values.data(), kept.data(), record});
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
