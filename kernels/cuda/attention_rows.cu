// Softmax with dropout and its gradient, over rows of scores: a warp per row.
#include "cuda/attention_rows.hpp"

#include "cuda/launch.hpp"
#include "formulas/dropout.hpp"

namespace terrane::cuda {

namespace {

constexpr int width = static_cast<int>(keys_per_pack);
/// Keys that a warp takes at once.
constexpr std::int64_t warp_keys = warp_threads * keys_per_pack;

/// Eight neighbours, 16 bytes by 16 bytes.
template <typename T>
TERRANE_HOST_DEVICE void load_pack(const T* from, float (&values)[width]) {
    constexpr int step = full_pack<T> < width ? full_pack<T> : width;
    for (int i = 0; i < width; i += step) {
        float part[step];
        load<step>(from, i, part);
        for (int k = 0; k < step; ++k) values[i + k] = part[k];
    }
}
template <typename T>
TERRANE_HOST_DEVICE void store_pack(T* to, const float (&values)[width]) {
    constexpr int step = full_pack<T> < width ? full_pack<T> : width;
    for (int i = 0; i < width; i += step) {
        float part[step];
        for (int k = 0; k < step; ++k) part[k] = values[i + k];
        store<step>(to, i, part);
    }
}

/// Where a row belongs.
struct RowPlace {
    std::int64_t sample, of_sample;  ///< `of_sample`: the row's number among all of its sample
    std::int64_t of_all;

    /// A group has less than 2^31 rows (usual_group_scores in attention_by_products.hpp): 32 bits divide
    /// faster.
    TERRANE_HOST_DEVICE RowPlace(const ScoreRows& rows, std::int64_t row) {
        const auto number = static_cast<std::uint32_t>(row);
        const auto queries = static_cast<std::uint32_t>(rows.queries);
        const auto heads = static_cast<std::uint32_t>(rows.group_heads);
        const std::uint32_t matrix = number / queries, query = number - matrix * queries;
        const std::uint32_t group_sample = matrix / heads, head = matrix - group_sample * heads;
        sample = rows.first_sample + group_sample;
        of_sample = (rows.first_head + head) * rows.queries + query;
        of_all = sample * rows.heads * rows.queries + of_sample;
    }
};

/// The maximum of some scores and the sum of exp(score - maximum).
struct Exponentials {
    float highest, sum;

    TERRANE_HOST_DEVICE static Exponentials join(const Exponentials& a, const Exponentials& b) {
        if (a.sum == 0) return b;
        if (b.sum == 0) return a;
        const float highest = a.highest > b.highest ? a.highest : b.highest;
        return {highest, a.sum * std::exp(a.highest - highest) + b.sum * std::exp(b.highest - highest)};
    }
};

template <typename T>
struct Probabilities {
    static constexpr int threads = warp_threads;
    struct Shared {
        Exponentials parts[warp_threads];
    };
    ScoreRows rows;
    ScoreDropout dropout;
    const float* scores;
    T* probabilities;
    float* normalisers;
    std::uint8_t* kept;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t row) const {
        const float* own = scores + row * rows.leading;
        team.each([&](int thread) {
            Exponentials part{-INFINITY, 0};
            for (std::int64_t j = thread * keys_per_pack; j < rows.keys; j += warp_keys) {
                float values[width];
                load_pack(own + j, values);
                const int count = inside(j);
                Exponentials pack{values[0], 0};
                for (int k = 1; k < width; ++k) {
                    if (k < count && values[k] > pack.highest) pack.highest = values[k];
                }
                for (int k = 0; k < width; ++k) {
                    pack.sum += k < count ? std::exp(values[k] - pack.highest) : 0.0f;
                }
                part = Exponentials::join(part, pack);
            }
            team.shared.parts[thread] = part;
        });
        team.join(team.shared.parts,
                  [](const Exponentials& a, const Exponentials& b) { return Exponentials::join(a, b); });
        const RowPlace place(rows, row);
        team.each([&](int thread) {
            const Exponentials all = team.shared.parts[0];
            if (normalisers != nullptr && thread == 0) {
                normalisers[place.of_all] = all.highest + std::log(all.sum);
            }
            if (dropout.probability == 0) {
                write(own, row, thread, all, 1, [](std::int64_t) { return 0xffu; });
                return;
            }
            const std::uint64_t seed = dropout.step->seed;
            const std::int64_t step = dropout.step->step, sample = dropout.step->first_sample + place.sample;
            const std::int64_t first =
                sample * rows.heads * rows.queries * rows.keys + place.of_sample * rows.keys;
            std::uint8_t* const mask =
                kept == nullptr ? nullptr : kept + place.of_all * (rows.leading / keys_per_pack);
            const auto draw = [&](std::int64_t j) {
                bool keeps[width];
                formulas::dropout_keeps_each<width>(seed, dropout.stream, step, first + j, dropout.probability,
                                                    keeps);
                unsigned bits = 0;
                for (int k = 0; k < width; ++k) bits |= (keeps[k] ? 1u : 0u) << k;
                if (mask != nullptr) mask[j / keys_per_pack] = static_cast<std::uint8_t>(bits);
                return bits;
            };
            write(own, row, thread, all, static_cast<float>(1 / (1 - dropout.probability)), draw);
        });
    }

  private:
    TERRANE_HOST_DEVICE int inside(std::int64_t j) const {
        return rows.keys - j < width ? static_cast<int>(rows.keys - j) : width;
    }
    template <typename Draw>
    TERRANE_HOST_DEVICE void write(const float* own, std::int64_t row, int thread, const Exponentials& all,
                                   float factor, Draw draw) const {
        const float scale = factor / all.sum;
        for (std::int64_t j = thread * keys_per_pack; j < rows.keys; j += warp_keys) {
            float values[width];
            load_pack(own + j, values);
            const unsigned bits = draw(j);
            const int count = inside(j);
            for (int k = 0; k < width; ++k) {
                const bool counts = k < count && (bits >> k & 1u) != 0;
                values[k] = counts ? std::exp(values[k] - all.highest) * scale : 0.0f;
            }
            store_pack(probabilities + row * rows.leading + j, values);
        }
    }
};

template <typename T>
struct ScoreGradients {
    static constexpr int threads = warp_threads;
    struct Shared {
        float sums[warp_threads];
    };
    ScoreRows rows;
    float factor;  ///< of the probabilities that dropout keeps
    const float *scores, *slopes, *normalisers;
    const std::uint8_t* kept;
    T *dropped, *gradients;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t row) const {
        const RowPlace place(rows, row);
        const float normaliser = normalisers[place.of_all];
        const std::uint8_t* const mask =
            kept == nullptr ? nullptr : kept + place.of_all * (rows.leading / keys_per_pack);
        if (gradients != nullptr) {
            team.each([&](int thread) {
                float sum = 0;
                for (std::int64_t j = thread * keys_per_pack; j < rows.keys; j += warp_keys) {
                    float probability[width], factors[width], slope[width];
                    read(row, j, normaliser, mask, probability, factors);
                    load_pack(slopes + row * rows.leading + j, slope);
                    for (int k = 0; k < width; ++k) {
                        if (j + k < rows.keys) sum += probability[k] * (factors[k] * slope[k]);
                    }
                }
                team.shared.sums[thread] = sum;
            });
            team.sum(team.shared.sums);
        }
        team.each([&](int thread) {
            const float mean = gradients == nullptr ? 0 : team.shared.sums[0];
            for (std::int64_t j = thread * keys_per_pack; j < rows.keys; j += warp_keys) {
                float probability[width], factors[width];
                read(row, j, normaliser, mask, probability, factors);
                if (dropped != nullptr) {
                    float values[width];
                    for (int k = 0; k < width; ++k) values[k] = probability[k] * factors[k];
                    store_pack(dropped + row * rows.leading + j, values);
                }
                if (gradients == nullptr) continue;
                float slope[width];
                load_pack(slopes + row * rows.leading + j, slope);
                for (int k = 0; k < width; ++k) {
                    slope[k] = j + k < rows.keys ? probability[k] * (factors[k] * slope[k] - mean) : 0.0f;
                }
                store_pack(gradients + row * rows.leading + j, slope);
            }
        });
    }

  private:
    /// P, and what dropout multiplies it with; P is 0 behind the keys.
    TERRANE_HOST_DEVICE void read(std::int64_t row, std::int64_t j, float normaliser,
                                  const std::uint8_t* mask, float (&probability)[width],
                                  float (&factors)[width]) const {
        load_pack(scores + row * rows.leading + j, probability);
        const unsigned bits = mask == nullptr ? 0xffu : mask[j / keys_per_pack];
        for (int k = 0; k < width; ++k) {
            probability[k] = j + k < rows.keys ? std::exp(probability[k] - normaliser) : 0.0f;
            factors[k] = (bits >> k & 1u) != 0 ? factor : 0.0f;
        }
    }
};

}  // namespace

template <typename T>
void launch_probabilities(Queue queue, const ScoreRows& rows, const ScoreDropout& dropout,
                          const float* scores, T* probabilities, float* normalisers, std::uint8_t* kept) {
    launch_teams(queue, rows.count(),
                 Probabilities<T>{rows, dropout, scores, probabilities, normalisers, kept});
}

template <typename T>
void launch_score_gradients(Queue queue, const ScoreRows& rows, double dropout, const float* scores,
                            const float* slopes, const float* normalisers, const std::uint8_t* kept,
                            T* dropped, T* gradients) {
    launch_teams(queue, rows.count(),
                 ScoreGradients<T>{rows, static_cast<float>(1 / (1 - dropout)), scores, slopes, normalisers,
                                   kept, dropped, gradients});
}

template void launch_probabilities(Queue, const ScoreRows&, const ScoreDropout&, const float*, float*, float*,
                                   std::uint8_t*);
template void launch_probabilities(Queue, const ScoreRows&, const ScoreDropout&, const float*, bfloat16*,
                                   float*, std::uint8_t*);
template void launch_probabilities(Queue, const ScoreRows&, const ScoreDropout&, const float*, float16*,
                                   float*, std::uint8_t*);
template void launch_score_gradients(Queue, const ScoreRows&, double, const float*, const float*,
                                     const float*, const std::uint8_t*, float*, float*);
template void launch_score_gradients(Queue, const ScoreRows&, double, const float*, const float*,
                                     const float*, const std::uint8_t*, bfloat16*, bfloat16*);
template void launch_score_gradients(Queue, const ScoreRows&, double, const float*, const float*,
                                     const float*, const std::uint8_t*, float16*, float16*);

}  // namespace terrane::cuda
