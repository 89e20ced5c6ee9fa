// Attention without a vendor library: tiles of keys pass by blocks of queries, the softmax kept up as they
// go.
#include "cuda/plans.hpp"
#include "formulas/dropout.hpp"

namespace terrane::cuda {

namespace {

/// A team of 256 threads: `block` rows, `tile` threads each.
constexpr int block = 8;
constexpr int tile = 32;
constexpr std::int64_t most_width = 128;

/// One of queries, keys, values among the inputs, or its gradient.
template <typename T>
struct Operand {
    T* data;
    std::int64_t offset, stride, tokens;

    TERRANE_HOST_DEVICE std::int64_t row(std::int64_t sample, std::int64_t token, std::int64_t head,
                                         std::int64_t width) const {
        return (sample * tokens + token) * stride + offset + head * width;
    }
};

template <typename T>
struct Sizes {
    Operand<const T> query, key, value;
    std::int64_t heads, width, queries, keys;
    float scale;
    double dropout;
    std::uint64_t stream;
    const device::StepState* step;

    TERRANE_HOST_DEVICE float dot(const T* a, const T* b) const {
        float sum = 0;
        for (std::int64_t c = 0; c < width; ++c) sum += static_cast<float>(a[c]) * static_cast<float>(b[c]);
        return sum;
    }
    /// scale * q k of query i and key j.
    TERRANE_HOST_DEVICE float score(std::int64_t sample, std::int64_t head, std::int64_t i,
                                    std::int64_t j) const {
        return scale * dot(query.data + query.row(sample, i, head, width),
                           key.data + key.row(sample, j, head, width));
    }
    /// What dropout makes of a probability.
    TERRANE_HOST_DEVICE float factor(std::int64_t sample, std::int64_t head, std::int64_t i,
                                     std::int64_t j) const {
        if (dropout == 0) return 1;
        const bool keeps =
            formulas::dropout_keeps(step->seed, stream, step->step, step->first_sample + sample,
                                    heads * queries * keys, (head * queries + i) * keys + j, dropout);
        return keeps ? static_cast<float>(1 / (1 - dropout)) : 0.0f;
    }
    TERRANE_HOST_DEVICE std::int64_t output(std::int64_t sample, std::int64_t i, std::int64_t head) const {
        return ((sample * queries + i) * heads + head) * width;
    }
};

/// Which rows a team has.
struct Rows {
    std::int64_t sample, head, first;

    TERRANE_HOST_DEVICE Rows(std::int64_t index, std::int64_t heads, std::int64_t tokens) {
        const std::int64_t blocks = (tokens + block - 1) / block;
        first = index % blocks * block;
        head = index / blocks % heads;
        sample = index / (blocks * heads);
    }
};

template <typename T>
struct Attend {
    static constexpr int threads = block_threads;
    struct Shared {
        float scores[block][tile], weights[block][tile], dropped[block][tile];
        float highest[block], next[block], sums[block];
        float outputs[block][most_width];
    };
    Sizes<T> s;
    T* y;
    float* normalisers;  ///< log of the sum of exponentials, [samples, heads, queries]; null in inference

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Rows at(index, s.heads, s.queries);
        team.each([&](int thread) {
            const int r = thread / tile, lane = thread % tile;
            for (std::int64_t c = lane; c < s.width; c += tile) team.shared.outputs[r][c] = 0;
            if (lane != 0) return;
            team.shared.highest[r] = -INFINITY;
            team.shared.sums[r] = 0;
        });
        for (std::int64_t begin = 0; begin < s.keys; begin += tile) {
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                const std::int64_t i = at.first + r, j = begin + lane;
                const bool inside = i < s.queries && j < s.keys;
                team.shared.scores[r][lane] = inside ? s.score(at.sample, at.head, i, j) : -INFINITY;
            });
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                float highest = team.shared.highest[r];
                for (int k = 0; k < tile; ++k) {
                    const float score = team.shared.scores[r][k];
                    highest = score > highest ? score : highest;
                }
                const std::int64_t i = at.first + r, j = begin + lane;
                const bool inside = i < s.queries && j < s.keys;
                const float weight = inside ? std::exp(team.shared.scores[r][lane] - highest) : 0.0f;
                team.shared.weights[r][lane] = weight;
                team.shared.dropped[r][lane] = inside ? weight * s.factor(at.sample, at.head, i, j) : 0.0f;
                if (lane == 0) team.shared.next[r] = highest;
            });
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                if (at.first + r >= s.queries) return;
                const float shrink = std::exp(team.shared.highest[r] - team.shared.next[r]);
                const std::int64_t end = s.keys - begin < tile ? s.keys - begin : tile;
                for (std::int64_t c = lane; c < s.width; c += tile) {
                    float sum = team.shared.outputs[r][c] * shrink;
                    for (std::int64_t k = 0; k < end; ++k) {
                        sum += team.shared.dropped[r][k] *
                               static_cast<float>(
                                   s.value.data[s.value.row(at.sample, begin + k, at.head, s.width) + c]);
                    }
                    team.shared.outputs[r][c] = sum;
                }
                if (lane != 0) return;
                float sum = team.shared.sums[r] * shrink;
                for (int k = 0; k < tile; ++k) sum += team.shared.weights[r][k];
                team.shared.sums[r] = sum;
            });
            team.each([&](int thread) {
                if (thread % tile == 0) team.shared.highest[thread / tile] = team.shared.next[thread / tile];
            });
        }
        team.each([&](int thread) {
            const int r = thread / tile, lane = thread % tile;
            const std::int64_t i = at.first + r;
            if (i >= s.queries) return;
            const std::int64_t first = s.output(at.sample, i, at.head);
            for (std::int64_t c = lane; c < s.width; c += tile) {
                y[first + c] = T(team.shared.outputs[r][c] / team.shared.sums[r]);
            }
            if (lane == 0 && normalisers != nullptr) {
                normalisers[(at.sample * s.heads + at.head) * s.queries + i] =
                    team.shared.highest[r] + std::log(team.shared.sums[r]);
            }
        });
    }
};

/// P and its gradient for one pair.
template <typename T>
struct PairTerms {
    Sizes<T> s;
    Terms<T> dy;
    const float* normalisers;

    TERRANE_HOST_DEVICE float probability(std::int64_t sample, std::int64_t head, std::int64_t i,
                                          std::int64_t j) const {
        return std::exp(s.score(sample, head, i, j) - normalisers[(sample * s.heads + head) * s.queries + i]);
    }
    /// The derivative of the loss by P: dy v, through dropout.
    TERRANE_HOST_DEVICE float slope(std::int64_t sample, std::int64_t head, std::int64_t i,
                                    std::int64_t j) const {
        const std::int64_t above = s.output(sample, i, head), value = s.value.row(sample, j, head, s.width);
        float sum = 0;
        for (std::int64_t c = 0; c < s.width; ++c)
            sum += dy[above + c] * static_cast<float>(s.value.data[value + c]);
        return sum * s.factor(sample, head, i, j);
    }
};

/// dq, and per query the mean of the slopes, which the keys' gradients need.
template <typename T>
struct QueryGradients {
    static constexpr int threads = block_threads;
    struct Shared {
        float terms[block][tile];
        float means[block];
        float sums[block][most_width];
    };
    PairTerms<T> pairs;
    Operand<T> dquery;  ///< null data: not wanted
    float* means;       ///< [samples, heads, queries]

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Sizes<T>& s = pairs.s;
        const Rows at(index, s.heads, s.queries);
        team.each([&](int thread) {
            const int r = thread / tile, lane = thread % tile;
            for (std::int64_t c = lane; c < s.width; c += tile) team.shared.sums[r][c] = 0;
            if (lane == 0) team.shared.means[r] = 0;
        });
        for (std::int64_t begin = 0; begin < s.keys; begin += tile) {
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                const std::int64_t i = at.first + r, j = begin + lane;
                team.shared.terms[r][lane] =
                    i < s.queries && j < s.keys
                        ? pairs.probability(at.sample, at.head, i, j) * pairs.slope(at.sample, at.head, i, j)
                        : 0.0f;
            });
            team.each([&](int thread) {
                if (thread % tile != 0) return;
                for (int k = 0; k < tile; ++k)
                    team.shared.means[thread / tile] += team.shared.terms[thread / tile][k];
            });
        }
        for (std::int64_t begin = 0; dquery.data != nullptr && begin < s.keys; begin += tile) {
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                const std::int64_t i = at.first + r, j = begin + lane;
                float gradient = 0;
                if (i < s.queries && j < s.keys) {
                    gradient = s.scale * pairs.probability(at.sample, at.head, i, j) *
                               (pairs.slope(at.sample, at.head, i, j) - team.shared.means[r]);
                }
                team.shared.terms[r][lane] = gradient;
            });
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                const std::int64_t end = s.keys - begin < tile ? s.keys - begin : tile;
                for (std::int64_t c = lane; c < s.width; c += tile) {
                    float sum = team.shared.sums[r][c];
                    for (std::int64_t k = 0; k < end; ++k) {
                        sum += team.shared.terms[r][k] *
                               static_cast<float>(
                                   s.key.data[s.key.row(at.sample, begin + k, at.head, s.width) + c]);
                    }
                    team.shared.sums[r][c] = sum;
                }
            });
        }
        team.each([&](int thread) {
            const int r = thread / tile, lane = thread % tile;
            const std::int64_t i = at.first + r;
            if (i >= s.queries) return;
            if (lane == 0) means[(at.sample * s.heads + at.head) * s.queries + i] = team.shared.means[r];
            if (dquery.data == nullptr) return;
            const std::int64_t first = dquery.row(at.sample, i, at.head, s.width);
            for (std::int64_t c = lane; c < s.width; c += tile)
                dquery.data[first + c] = T(team.shared.sums[r][c]);
        });
    }
};

/// dk and dv: blocks of keys, tiles of queries.
template <typename T>
struct KeyGradients {
    static constexpr int threads = block_threads;
    struct Shared {
        float slopes[block][tile], weights[block][tile];
        float keys[block][most_width], values[block][most_width];
    };
    PairTerms<T> pairs;
    const float* means;
    Operand<T> dkey, dvalue;  ///< null data: not wanted

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Sizes<T>& s = pairs.s;
        const Rows at(index, s.heads, s.keys);
        team.each([&](int thread) {
            const int r = thread / tile, lane = thread % tile;
            for (std::int64_t c = lane; c < s.width; c += tile) {
                team.shared.keys[r][c] = team.shared.values[r][c] = 0;
            }
        });
        for (std::int64_t begin = 0; begin < s.queries; begin += tile) {
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                const std::int64_t j = at.first + r, i = begin + lane;
                float gradient = 0, weight = 0;
                if (i < s.queries && j < s.keys) {
                    const float p = pairs.probability(at.sample, at.head, i, j);
                    const float mean = means[(at.sample * s.heads + at.head) * s.queries + i];
                    gradient = s.scale * p * (pairs.slope(at.sample, at.head, i, j) - mean);
                    weight = p * s.factor(at.sample, at.head, i, j);
                }
                team.shared.slopes[r][lane] = gradient;
                team.shared.weights[r][lane] = weight;
            });
            team.each([&](int thread) {
                const int r = thread / tile, lane = thread % tile;
                const std::int64_t end = s.queries - begin < tile ? s.queries - begin : tile;
                for (std::int64_t c = lane; c < s.width; c += tile) {
                    float key = team.shared.keys[r][c], value = team.shared.values[r][c];
                    for (std::int64_t k = 0; k < end; ++k) {
                        const std::int64_t query = s.query.row(at.sample, begin + k, at.head, s.width) + c;
                        key += team.shared.slopes[r][k] * static_cast<float>(s.query.data[query]);
                        value +=
                            team.shared.weights[r][k] * pairs.dy[s.output(at.sample, begin + k, at.head) + c];
                    }
                    team.shared.keys[r][c] = key;
                    team.shared.values[r][c] = value;
                }
            });
        }
        team.each([&](int thread) {
            const int r = thread / tile, lane = thread % tile;
            const std::int64_t j = at.first + r;
            if (j >= s.keys) return;
            for (std::int64_t c = lane; c < s.width; c += tile) {
                if (dkey.data != nullptr) {
                    dkey.data[dkey.row(at.sample, j, at.head, s.width) + c] = T(team.shared.keys[r][c]);
                }
                if (dvalue.data != nullptr) {
                    dvalue.data[dvalue.row(at.sample, j, at.head, s.width) + c] = T(team.shared.values[r][c]);
                }
            }
        });
    }
};

/// Saved: the normalisers of the queries' softmaxes.
template <typename T>
class AttentionPlan final : public KernelPlan<ops::Attention> {
  public:
    AttentionPlan(const ops::Attention& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue), geometry_(op, request.descriptor.inputs) {
        if (!trains()) return;
        requirements_.saved = carved<float>(rows());
        requirements_.backward_workspace = carved<float>(rows());
    }
    std::string implementation() const override { return "cuda:tiles"; }

    void forward(const device::ForwardArguments& arguments) override {
        launch_teams(queue_, teams(geometry_.queries),
                     Attend<T>{sizes(arguments.inputs, arguments.step), arguments.outputs[0].as<T>(),
                               trains() ? reinterpret_cast<float*>(arguments.saved) : nullptr});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const PairTerms<T> pairs{sizes(arguments.inputs, arguments.step),
                                 terms_of<T>(arguments.output_gradients[0]),
                                 reinterpret_cast<const float*>(arguments.saved)};
        auto* means = reinterpret_cast<float*>(arguments.workspace);
        const auto gradient = [&](const ops::AttentionGeometry::Operand& operand, std::int64_t tokens) {
            const TensorView& view = arguments.input_gradients[operand.input].view;
            return Operand<T>{view ? view.as<T>() : nullptr, operand.offset, operand.stride, tokens};
        };
        launch_teams(queue_, teams(geometry_.queries),
                     QueryGradients<T>{pairs, gradient(geometry_.query, geometry_.queries), means});
        const Operand<T> dkey = gradient(geometry_.key, geometry_.keys),
                         dvalue = gradient(geometry_.value, geometry_.keys);
        if (dkey.data == nullptr && dvalue.data == nullptr) return;
        launch_teams(queue_, teams(geometry_.keys), KeyGradients<T>{pairs, means, dkey, dvalue});
    }

  private:
    std::int64_t rows() const { return geometry_.batch * geometry_.heads * geometry_.queries; }
    std::int64_t teams(std::int64_t tokens) const {
        return geometry_.batch * geometry_.heads * ((tokens + block - 1) / block);
    }
    Sizes<T> sizes(std::span<const TensorView> inputs, const device::StepState* step) const {
        const auto operand = [&](const ops::AttentionGeometry::Operand& from, std::int64_t tokens) {
            return Operand<const T>{inputs[from.input].as<T>(), from.offset, from.stride, tokens};
        };
        return {operand(geometry_.query, geometry_.queries),
                operand(geometry_.key, geometry_.keys),
                operand(geometry_.value, geometry_.keys),
                geometry_.heads,
                geometry_.width,
                geometry_.queries,
                geometry_.keys,
                static_cast<float>(geometry_.scale),
                mode_ == device::Mode::inference ? 0.0 : op_.dropout,
                op_.stream,
                step};
    }

    ops::AttentionGeometry geometry_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Attention& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (ops::AttentionGeometry(op, request.descriptor.inputs).width > most_width) return nullptr;
    return make_typed<AttentionPlan>(op, request, queue);
}

}  // namespace terrane::cuda
