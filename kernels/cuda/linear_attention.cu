// Attention whose cost is linear in the positions: a context of width x width per sample and head.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"

namespace terrane::cuda {

namespace {

/// A thread keeps one head's channels in its own memory.
constexpr std::int64_t most_width = 128;

/// Where queries (part 0), keys (1) and values (2) of a head lie. A head counts samples, too: sample * heads
/// + head.
template <typename T>
struct Heads {
    const T* qkv;
    std::int64_t positions, heads, width;

    TERRANE_HOST_DEVICE std::int64_t in(std::int64_t head, std::int64_t n, int part) const {
        return (head / heads * positions + n) * 3 * heads * width + (part * heads + head % heads) * width;
    }
    TERRANE_HOST_DEVICE std::int64_t out(std::int64_t head, std::int64_t n) const {
        return ((head / heads * positions + n) * heads + head % heads) * width;
    }
    TERRANE_HOST_DEVICE float value(std::int64_t i) const { return static_cast<float>(qkv[i]); }
    TERRANE_HOST_DEVICE float scale() const { return 1 / std::sqrt(static_cast<float>(width)); }

    /// Softmax of the queries at one position, without the scale.
    TERRANE_HOST_DEVICE void read_query(std::int64_t head, std::int64_t n, float* query) const {
        const std::int64_t first = in(head, n, 0);
        float highest = value(first), sum = 0;
        for (std::int64_t d = 1; d < width; ++d)
            highest = value(first + d) > highest ? value(first + d) : highest;
        for (std::int64_t d = 0; d < width; ++d) sum += query[d] = std::exp(value(first + d) - highest);
        for (std::int64_t d = 0; d < width; ++d) query[d] /= sum;
    }
};

/// The maximum and the sum of exponentials of a key channel over the positions.
struct KeyNormaliser {
    float highest, sum;
};
template <typename T>
struct NormaliseKeys {
    static constexpr int threads = block_threads;
    struct Shared {
        float highest[block_threads];
        double sums[block_threads];
    };
    Heads<T> heads;
    KeyNormaliser* normalisers;  ///< [heads, width]

    /// Index: head and channel.
    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const std::int64_t head = index / heads.width, d = index % heads.width;
        team.each([&](int thread) {
            float highest = heads.value(heads.in(head, 0, 1) + d);
            for (std::int64_t n = thread; n < heads.positions; n += threads) {
                const float key = heads.value(heads.in(head, n, 1) + d);
                highest = key > highest ? key : highest;
            }
            team.shared.highest[thread] = highest;
        });
        team.join(team.shared.highest, [](float a, float b) { return b > a ? b : a; });
        team.each([&](int thread) {
            double sum = 0;
            for (std::int64_t n = thread; n < heads.positions; n += threads) {
                sum += static_cast<double>(
                    std::exp(heads.value(heads.in(head, n, 1) + d) - team.shared.highest[0]));
            }
            team.shared.sums[thread] = sum;
        });
        team.sum(team.shared.sums);
        team.each([&](int thread) {
            if (thread == 0)
                normalisers[index] = {team.shared.highest[0], static_cast<float>(team.shared.sums[0])};
        });
    }
};

template <typename T>
TERRANE_HOST_DEVICE inline float key_at(const Heads<T>& heads, const KeyNormaliser* normalisers,
                                        std::int64_t head, std::int64_t n, std::int64_t d) {
    const KeyNormaliser own = normalisers[head * heads.width + d];
    return std::exp(heads.value(heads.in(head, n, 1) + d) - own.highest) / own.sum;
}

/// Group: head, d and e; item: position. context[d, e] = sum_n key[d, n] value[e, n].
template <typename T>
struct ContextSums {
    static constexpr int sums = 1;
    Heads<T> heads;
    const KeyNormaliser* normalisers;
    float* context;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t n, double (&own)[1]) const {
        const std::int64_t e = group % heads.width, d = group / heads.width % heads.width;
        const std::int64_t head = group / (heads.width * heads.width);
        own[0] += static_cast<double>(key_at(heads, normalisers, head, n, d) *
                                      heads.value(heads.in(head, n, 2) + e));
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        context[group] = static_cast<float>(total[0]);
    }
};

/// Item: head and position.
template <typename T>
struct Attend {
    Heads<T> heads;
    const float* context;
    T* y;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t head = item / heads.positions, n = item % heads.positions, width = heads.width;
        float query[most_width];
        heads.read_query(head, n, query);
        const float* own = context + head * width * width;
        const std::int64_t first = heads.out(head, n);
        for (std::int64_t e = 0; e < width; ++e) {
            float sum = 0;
            for (std::int64_t d = 0; d < width; ++d) sum += own[d * width + e] * query[d];
            y[first + e] = T(sum * heads.scale());
        }
    }
};

/// dq at one position; leaves the softmax of the queries for the sums over positions.
template <typename T>
struct QueryGradient {
    Heads<T> heads;
    Terms<T> dy;
    const float* context;
    float* queries;  ///< [heads, positions, width]
    T* dx;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t head = item / heads.positions, n = item % heads.positions, width = heads.width;
        float query[most_width], dquery[most_width];
        heads.read_query(head, n, query);
        const float* own = context + head * width * width;
        const std::int64_t above = heads.out(head, n), target = heads.in(head, n, 0);
        float mean = 0;
        for (std::int64_t d = 0; d < width; ++d) {
            float sum = 0;
            for (std::int64_t e = 0; e < width; ++e) sum += own[d * width + e] * dy[above + e];
            dquery[d] = sum * heads.scale();
            mean += dquery[d] * query[d];
            queries[item * width + d] = query[d];
        }
        for (std::int64_t d = 0; d < width; ++d) dx[target + d] = T(query[d] * (dquery[d] - mean));
    }
};

/// The context's gradient: slope[d, e] = sum_n query[d, n] * scale * dy[e, n].
template <typename T>
struct SlopeSums {
    static constexpr int sums = 1;
    Heads<T> heads;
    Terms<T> dy;
    const float* queries;
    float* slope;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t n, double (&own)[1]) const {
        const std::int64_t e = group % heads.width, d = group / heads.width % heads.width;
        const std::int64_t head = group / (heads.width * heads.width);
        own[0] += static_cast<double>(queries[(head * heads.positions + n) * heads.width + d] *
                                      dy[heads.out(head, n) + e]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        slope[group] = static_cast<float>(total[0]) * heads.scale();
    }
};

/// Item: head, position and channel; dk and dv.
template <typename T>
struct KeyValueGradient {
    Heads<T> heads;
    const KeyNormaliser* normalisers;
    const float *context, *slope;
    T* dx;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t width = heads.width, d = item % width, n = item / width % heads.positions;
        const std::int64_t head = item / (width * heads.positions);
        const float* own = slope + head * width * width;
        const float* kept = context + head * width * width;
        float dkey = 0, dvalue = 0, along = 0;
        for (std::int64_t e = 0; e < width; ++e) {
            along += own[d * width + e] * kept[d * width + e];
            dkey += own[d * width + e] * heads.value(heads.in(head, n, 2) + e);
            dvalue += own[e * width + d] * key_at(heads, normalisers, head, n, e);
        }
        dx[heads.in(head, n, 1) + d] = T(key_at(heads, normalisers, head, n, d) * (dkey - along));
        dx[heads.in(head, n, 2) + d] = T(dvalue);
    }
};

/// Saved: the keys' normalisers and the context.
template <typename T>
class LinearAttentionPlan final : public KernelPlan<ops::LinearAttention> {
  public:
    LinearAttentionPlan(const ops::LinearAttention& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          positions_(input_shape(0).height() * input_shape(0).width()),
          width_(output_shape().channels() / op.heads),
          count_(input_shape(0).batch() * op.heads),
          sums_(count_ * width_ * width_, positions_) {
        const std::size_t kept =
            carved<KeyNormaliser>(count_ * width_) + carved<float>(count_ * width_ * width_);
        requirements_.forward_workspace = sums_.bytes(1) + (trains() ? 0 : kept);
        if (!trains()) return;
        requirements_.saved = kept;
        requirements_.backward_workspace = carved<float>(count_ * positions_ * width_) +
                                           carved<float>(count_ * width_ * width_) + sums_.bytes(1);
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        Carver& kept = trains() ? saved : workspace;
        auto* normalisers = kept.take<KeyNormaliser>(count_ * width_);
        auto* context = kept.take<float>(count_ * width_ * width_);
        auto* partials = workspace.take_doubles(0);
        const Heads<T> heads = heads_of(arguments.inputs[0]);
        launch_teams(queue_, count_ * width_, NormaliseKeys<T>{heads, normalisers});
        launch_sums(queue_, sums_, partials, ContextSums<T>{heads, normalisers, context});
        launch(queue_, count_ * positions_, Attend<T>{heads, context, arguments.outputs[0].as<T>()});
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        const auto* normalisers = saved.take<KeyNormaliser>(count_ * width_);
        const auto* context = saved.take<float>(count_ * width_ * width_);
        auto* queries = workspace.take<float>(count_ * positions_ * width_);
        auto* slope = workspace.take<float>(count_ * width_ * width_);
        auto* partials = workspace.take_doubles(0);
        const Heads<T> heads = heads_of(arguments.inputs[0]);
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        T* dx = arguments.input_gradients[0].view.as<T>();
        launch(queue_, count_ * positions_, QueryGradient<T>{heads, dy, context, queries, dx});
        launch_sums(queue_, sums_, partials, SlopeSums<T>{heads, dy, queries, slope});
        launch(queue_, count_ * positions_ * width_,
               KeyValueGradient<T>{heads, normalisers, context, slope, dx});
    }

  private:
    Heads<T> heads_of(const TensorView& qkv) const { return {qkv.as<T>(), positions_, op_.heads, width_}; }

    std::int64_t positions_, width_, count_;
    SumGeometry sums_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::LinearAttention& op,
                                             const device::PlanRequest& request, Queue queue) {
    if (request.descriptor.outputs[0].shape.channels() / op.heads > most_width) return nullptr;
    return make_typed<LinearAttentionPlan>(op, request, queue);
}

}  // namespace terrane::cuda
