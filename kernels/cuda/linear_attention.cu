// Attention whose cost is linear in the positions: a context of width x width per sample and head. Teams walk
// along the positions of a head in tiles that they share; what is summed over positions is left per chunk of
// tiles and then added up in order.
#include "cuda/plans.hpp"

namespace terrane::cuda {

namespace {

/// Where queries (part 0), keys (1) and values (2) of a head lie. A head counts samples, too: sample * heads
/// + head.
template <typename T>
struct Heads {
    const T* qkv;
    std::int64_t positions, heads, width;

    TERRANE_HOST_DEVICE std::int64_t in(std::int64_t head, std::int64_t n, int part) const {
        return (head / heads * positions + n) * in_stride() + (part * heads + head % heads) * width;
    }
    TERRANE_HOST_DEVICE std::int64_t out(std::int64_t head, std::int64_t n) const {
        return ((head / heads * positions + n) * heads + head % heads) * width;
    }
    /// Elements from one position to the next.
    TERRANE_HOST_DEVICE std::int64_t in_stride() const { return 3 * heads * width; }
    TERRANE_HOST_DEVICE std::int64_t out_stride() const { return heads * width; }
    TERRANE_HOST_DEVICE float scale() const { return 1 / std::sqrt(static_cast<float>(width)); }
};

/// How the positions of a head are cut: a team takes a chunk, in tiles of 1024 / most positions.
struct Chunks {
    std::int64_t per_head, positions;

    Chunks() = default;
    Chunks(std::int64_t head_count, std::int64_t all, std::int64_t tile) {
        constexpr std::int64_t teams = 1056;  // 8 blocks for each of 132 multiprocessors
        const std::int64_t tiles = (all + tile - 1) / tile;
        const std::int64_t wanted = std::clamp<std::int64_t>(teams / head_count, 1, tiles);
        positions = (tiles + wanted - 1) / wanted * tile;
        per_head = (all + positions - 1) / positions;
    }
};

/// Positions by channels in shared memory; `most` channels, of which `width` count. Rows of odd length, so
/// that threads that each take a row meet no bank twice.
template <int most>
struct Tile {
    static constexpr int positions = 1024 / most;
    float values[positions][most + 1];
};

/// A square of channels, row by row.
template <int most>
struct Square {
    float values[most][most];
};

/// Runs body(row, column) for a thread's elements of a square.
template <int most, typename Body>
TERRANE_HOST_DEVICE inline void over_square(int thread, Body body) {
    for (int i = thread; i < most * most; i += block_threads) body(i / most, i % most);
}
/// An element of a square of `width` rows in device memory; 0 beyond it.
TERRANE_HOST_DEVICE inline float element(const float* square, std::int64_t width, int row, int column) {
    return row < width && column < width ? square[row * width + column] : 0.0f;
}

/// What all threads of a team know about where they are.
struct Span {
    std::int64_t head, begin, end;

    TERRANE_HOST_DEVICE Span(std::int64_t index, const Chunks& chunks, std::int64_t positions)
        : head(index / chunks.per_head) {
        begin = index % chunks.per_head * chunks.positions;
        end = begin + chunks.positions < positions ? begin + chunks.positions : positions;
    }
};

/// Runs body(position in the tile, channel) for a thread's elements of a tile.
template <int most, typename Body>
TERRANE_HOST_DEVICE inline void over_tile(int thread, Body body) {
    const int channel = thread % most;
    for (int p = thread / most; p < Tile<most>::positions; p += block_threads / most) body(p, channel);
}

/// Reads rows of `width` elements, `stride` apart; 0 beyond the width and beyond `rows`.
template <int most, typename Read>
TERRANE_HOST_DEVICE inline void fill(Tile<most>& tile, int thread, std::int64_t rows, std::int64_t width,
                                     Read read) {
    over_tile<most>(thread,
                    [&](int p, int c) { tile.values[p][c] = p < rows && c < width ? read(p, c) : 0.0f; });
}

/// sums[d][e] += sum over p of a[p][d] * b[p][e]: a thread has a column e and neighbouring rows.
template <int most>
TERRANE_HOST_DEVICE inline void add_outer(Square<most>& sums, const Tile<most>& a, const Tile<most>& b,
                                          int thread) {
    constexpr int each = most * most / block_threads;
    const int e = thread % most, first = thread / most * each;
    float own[each] = {};
    for (int p = 0; p < Tile<most>::positions; ++p) {
        const float right = b.values[p][e];
        for (int j = 0; j < each; ++j) own[j] += a.values[p][first + j] * right;
    }
    for (int j = 0; j < each; ++j) sums.values[first + j][e] += own[j];
}

/// Calls out(p, c, sum over i of a[p][i] * m[i][c]) for a thread's elements of a tile.
template <int most, typename Out>
TERRANE_HOST_DEVICE inline void times(const Tile<most>& a, const Square<most>& m, int thread, Out out) {
    constexpr int lanes = block_threads / most, each = Tile<most>::positions / lanes;
    const int c = thread % most, first = thread / most;
    float own[each] = {};
    for (int i = 0; i < most; ++i) {
        const float right = m.values[i][c];
        for (int j = 0; j < each; ++j) own[j] += a.values[first + j * lanes][i] * right;
    }
    for (int j = 0; j < each; ++j) out(first + j * lanes, c, own[j]);
}

/// Softmax along the rows of a tile; `terms` takes the sum of each row's exponentials, the tile these.
template <int most, typename Team>
TERRANE_HOST_DEVICE inline void exponentials(Team& team, Tile<most>& tile, float* highest, float* sums,
                                             std::int64_t width) {
    team.each([&](int thread) {
        if (thread >= Tile<most>::positions) return;
        float most_of_all = tile.values[thread][0];
        for (std::int64_t c = 1; c < width; ++c) {
            most_of_all = tile.values[thread][c] > most_of_all ? tile.values[thread][c] : most_of_all;
        }
        highest[thread] = most_of_all;
    });
    team.each([&](int thread) {
        over_tile<most>(thread, [&](int p, int c) {
            if (c < width) tile.values[p][c] = std::exp(tile.values[p][c] - highest[p]);
        });
    });
    team.each([&](int thread) {
        if (thread >= Tile<most>::positions) return;
        float sum = 0;
        for (std::int64_t c = 0; c < width; ++c) sum += tile.values[thread][c];
        sums[thread] = sum;
    });
}

/// The maximum and the sum of exponentials of a key channel over the positions.
struct KeyNormaliser {
    float highest, sum;
};

/// A chunk's part of the context, sum over n of exp(key[d, n] - highest[d]) * value[e, n], and of the
/// normalisers.
template <typename T, int most>
struct ContextParts {
    static constexpr int threads = block_threads;
    struct Shared {
        Tile<most> keys, values;
        Square<most> context;
        float highest[block_threads];
        float sums[most];
    };
    Heads<T> heads;
    Chunks chunks;
    KeyNormaliser* normalisers;  ///< [heads, chunks, width]
    float* contexts;             ///< [heads, chunks, width, width]

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Span span(index, chunks, heads.positions);
        const std::int64_t width = heads.width, stride = heads.in_stride();
        const T* const keys = heads.qkv + heads.in(span.head, span.begin, 1);
        const T* const values = heads.qkv + heads.in(span.head, span.begin, 2);
        const std::int64_t rows = span.end - span.begin;
        constexpr int lanes = block_threads / most;
        team.each([&](int thread) {
            const std::int64_t d = thread % most;
            float highest = -INFINITY;
            for (std::int64_t n = thread / most; d < width && n < rows; n += lanes) {
                const float key = static_cast<float>(keys[n * stride + d]);
                highest = key > highest ? key : highest;
            }
            team.shared.highest[thread] = highest;
        });
        team.each([&](int thread) {
            if (thread >= most) return;
            for (int lane = 1; lane < lanes; ++lane) {
                const float other = team.shared.highest[lane * most + thread];
                if (other > team.shared.highest[thread]) team.shared.highest[thread] = other;
            }
            team.shared.sums[thread] = 0;
        });
        team.each([&](int thread) {
            over_square<most>(thread, [&](int d, int e) { team.shared.context.values[d][e] = 0; });
        });
        for (std::int64_t first = 0; first < rows; first += Tile<most>::positions) {
            team.each([&](int thread) {
                fill(team.shared.keys, thread, rows - first, width, [&](int p, int c) {
                    return std::exp(static_cast<float>(keys[(first + p) * stride + c]) -
                                    team.shared.highest[c]);
                });
                fill(team.shared.values, thread, rows - first, width,
                     [&](int p, int c) { return static_cast<float>(values[(first + p) * stride + c]); });
            });
            team.each([&](int thread) {
                add_outer(team.shared.context, team.shared.keys, team.shared.values, thread);
                if (thread >= most) return;
                float sum = 0;
                for (int p = 0; p < Tile<most>::positions; ++p) sum += team.shared.keys.values[p][thread];
                team.shared.sums[thread] += sum;
            });
        }
        team.each([&](int thread) {
            if (thread < width) {
                normalisers[index * width + thread] = {team.shared.highest[thread], team.shared.sums[thread]};
            }
            for (std::int64_t i = thread; i < width * width; i += threads) {
                contexts[index * width * width + i] = team.shared.context.values[i / width][i % width];
            }
        });
    }
};

/// The chunks' parts joined; item: head and d. context[d, e] = sum_n key[d, n] value[e, n].
struct JoinContext {
    std::int64_t width, chunks;
    const KeyNormaliser* parts;
    const float* contexts;
    KeyNormaliser* normalisers;  ///< [heads, width]
    float* context;              ///< [heads, width, width]

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t e = item % width, d = item / width % width, head = item / (width * width);
        const KeyNormaliser* const own = parts + head * chunks * width + d;
        float highest = own[0].highest;
        for (std::int64_t k = 1; k < chunks; ++k) {
            highest = own[k * width].highest > highest ? own[k * width].highest : highest;
        }
        double sum = 0, total = 0;
        for (std::int64_t k = 0; k < chunks; ++k) {
            const double factor = static_cast<double>(std::exp(own[k * width].highest - highest));
            sum += factor * static_cast<double>(own[k * width].sum);
            total +=
                factor * static_cast<double>(contexts[(head * chunks + k) * width * width + d * width + e]);
        }
        context[item] = static_cast<float>(total / sum);
        if (e == 0) normalisers[head * width + d] = {highest, static_cast<float>(sum)};
    }
};

/// y at a chunk's positions.
template <typename T, int most>
struct Attend {
    static constexpr int threads = block_threads;
    struct Shared {
        Tile<most> queries;
        Square<most> context;
        float highest[Tile<most>::positions], sums[Tile<most>::positions];
    };
    Heads<T> heads;
    Chunks chunks;
    const float* context;
    T* y;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Span span(index, chunks, heads.positions);
        const std::int64_t width = heads.width;
        const T* const queries = heads.qkv + heads.in(span.head, span.begin, 0);
        T* const target = y + heads.out(span.head, span.begin);
        const std::int64_t rows = span.end - span.begin;
        const float* const own = context + span.head * width * width;
        const float scale = heads.scale();
        team.each([&](int thread) {
            over_square<most>(
                thread, [&](int d, int e) { team.shared.context.values[d][e] = element(own, width, d, e); });
        });
        for (std::int64_t first = 0; first < rows; first += Tile<most>::positions) {
            team.each([&](int thread) {
                fill(team.shared.queries, thread, rows - first, width, [&](int p, int c) {
                    return static_cast<float>(queries[(first + p) * heads.in_stride() + c]);
                });
            });
            exponentials(team, team.shared.queries, team.shared.highest, team.shared.sums, width);
            team.each([&](int thread) {
                times(team.shared.queries, team.shared.context, thread, [&](int p, int c, float sum) {
                    if (first + p >= rows || c >= width) return;
                    target[(first + p) * heads.out_stride() + c] = T(sum * (scale / team.shared.sums[p]));
                });
            });
        }
    }
};

/// dq at a chunk's positions, and the chunk's part of the context's gradient, slope[d, e] = sum_n query[d, n]
/// * scale * dy[e, n].
template <typename T, int most>
struct QueryGradient {
    static constexpr int threads = block_threads;
    struct Shared {
        Tile<most> queries, above, dqueries;
        Square<most> turned;  ///< the context, transposed
        Square<most> slope;
        float highest[Tile<most>::positions], sums[Tile<most>::positions], means[Tile<most>::positions];
    };
    Heads<T> heads;
    Chunks chunks;
    Terms<T> dy;
    const float* context;
    float* slopes;  ///< [heads, chunks, width, width]
    T* dx;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Span span(index, chunks, heads.positions);
        const std::int64_t width = heads.width, rows = span.end - span.begin;
        const std::int64_t start = heads.in(span.head, span.begin, 0),
                           above = heads.out(span.head, span.begin);
        const float* const own = context + span.head * width * width;
        const float scale = heads.scale();
        team.each([&](int thread) {
            over_square<most>(thread, [&](int d, int e) {
                team.shared.turned.values[e][d] = element(own, width, d, e);
                team.shared.slope.values[d][e] = 0;
            });
        });
        for (std::int64_t first = 0; first < rows; first += Tile<most>::positions) {
            team.each([&](int thread) {
                fill(team.shared.queries, thread, rows - first, width, [&](int p, int c) {
                    return static_cast<float>(heads.qkv[start + (first + p) * heads.in_stride() + c]);
                });
                fill(team.shared.above, thread, rows - first, width,
                     [&](int p, int c) { return dy[above + (first + p) * heads.out_stride() + c]; });
            });
            exponentials(team, team.shared.queries, team.shared.highest, team.shared.sums, width);
            team.each([&](int thread) {
                over_tile<most>(
                    thread, [&](int p, int c) { team.shared.queries.values[p][c] /= team.shared.sums[p]; });
                times(team.shared.above, team.shared.turned, thread,
                      [&](int p, int c, float sum) { team.shared.dqueries.values[p][c] = sum * scale; });
            });
            team.each([&](int thread) {
                add_outer(team.shared.slope, team.shared.queries, team.shared.above, thread);
                if (thread >= Tile<most>::positions) return;
                float mean = 0;
                for (std::int64_t c = 0; c < width; ++c) {
                    mean += team.shared.dqueries.values[thread][c] * team.shared.queries.values[thread][c];
                }
                team.shared.means[thread] = mean;
            });
            team.each([&](int thread) {
                over_tile<most>(thread, [&](int p, int c) {
                    if (first + p >= rows || c >= width) return;
                    dx[start + (first + p) * heads.in_stride() + c] =
                        T(team.shared.queries.values[p][c] *
                          (team.shared.dqueries.values[p][c] - team.shared.means[p]));
                });
            });
        }
        team.each([&](int thread) {
            for (std::int64_t i = thread; i < width * width; i += threads) {
                slopes[index * width * width + i] = team.shared.slope.values[i / width][i % width];
            }
        });
    }
};

/// The chunks' parts of the slope added up; item: head, d and e.
struct JoinSlope {
    std::int64_t width, chunks;
    float scale;
    const float* slopes;
    float* slope;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t square = width * width, head = item / square, place = item % square;
        double sum = 0;
        for (std::int64_t k = 0; k < chunks; ++k) {
            sum += static_cast<double>(slopes[(head * chunks + k) * square + place]);
        }
        slope[item] = static_cast<float>(sum) * scale;
    }
};

/// dk and dv at a chunk's positions.
template <typename T, int most>
struct KeyValueGradient {
    static constexpr int threads = block_threads;
    struct Shared {
        Tile<most> keys, values;
        Square<most> slope, turned;
        float highest[most], factors[most], along[most];
    };
    Heads<T> heads;
    Chunks chunks;
    const KeyNormaliser* normalisers;
    const float *context, *slope;
    T* dx;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const Span span(index, chunks, heads.positions);
        const std::int64_t width = heads.width, stride = heads.in_stride(), rows = span.end - span.begin;
        const std::int64_t keys = heads.in(span.head, span.begin, 1),
                           values = heads.in(span.head, span.begin, 2);
        const float* const own = slope + span.head * width * width;
        const float* const kept = context + span.head * width * width;
        team.each([&](int thread) {
            over_square<most>(thread, [&](int d, int e) {
                const float value = element(own, width, d, e);
                team.shared.slope.values[d][e] = value;
                team.shared.turned.values[e][d] = value;
            });
            if (thread >= width) return;
            float along = 0;
            for (std::int64_t e = 0; e < width; ++e)
                along += own[thread * width + e] * kept[thread * width + e];
            const KeyNormaliser normaliser = normalisers[span.head * width + thread];
            team.shared.along[thread] = along;
            team.shared.highest[thread] = normaliser.highest;
            team.shared.factors[thread] = 1 / normaliser.sum;
        });
        for (std::int64_t first = 0; first < rows; first += Tile<most>::positions) {
            team.each([&](int thread) {
                fill(team.shared.keys, thread, rows - first, width, [&](int p, int c) {
                    return std::exp(static_cast<float>(heads.qkv[keys + (first + p) * stride + c]) -
                                    team.shared.highest[c]) *
                           team.shared.factors[c];
                });
                fill(team.shared.values, thread, rows - first, width, [&](int p, int c) {
                    return static_cast<float>(heads.qkv[values + (first + p) * stride + c]);
                });
            });
            team.each([&](int thread) {
                times(team.shared.values, team.shared.turned, thread, [&](int p, int c, float sum) {
                    if (first + p >= rows || c >= width) return;
                    dx[keys + (first + p) * stride + c] =
                        T(team.shared.keys.values[p][c] * (sum - team.shared.along[c]));
                });
                times(team.shared.keys, team.shared.slope, thread, [&](int p, int c, float sum) {
                    if (first + p >= rows || c >= width) return;
                    dx[values + (first + p) * stride + c] = T(sum);
                });
            });
        }
    }
};

/// Saved: the keys' normalisers and the context. `most`: channels of a head that there is room for.
template <typename T, int most>
class LinearAttentionPlan final : public KernelPlan<ops::LinearAttention> {
  public:
    LinearAttentionPlan(const ops::LinearAttention& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          positions_(input_shape(0).height() * input_shape(0).width()),
          width_(output_shape().channels() / op.heads),
          count_(input_shape(0).batch() * op.heads),
          chunks_(count_, positions_, Tile<most>::positions) {
        const std::size_t kept = carved<KeyNormaliser>(count_ * width_) + carved<float>(squares());
        const std::size_t parts = carved<float>(squares() * chunks_.per_head);
        requirements_.forward_workspace =
            parts + carved<KeyNormaliser>(count_ * width_ * chunks_.per_head) + (trains() ? 0 : kept);
        if (!trains()) return;
        requirements_.saved = kept;
        requirements_.backward_workspace = parts + carved<float>(squares());
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        Carver& kept = trains() ? saved : workspace;
        auto* normalisers = kept.take<KeyNormaliser>(count_ * width_);
        auto* context = kept.take<float>(squares());
        auto* contexts = workspace.take<float>(squares() * chunks_.per_head);
        auto* parts = workspace.take<KeyNormaliser>(count_ * width_ * chunks_.per_head);
        const Heads<T> heads = heads_of(arguments.inputs[0]);
        launch_teams(queue_, teams(), ContextParts<T, most>{heads, chunks_, parts, contexts});
        launch(queue_, squares(),
               JoinContext{width_, chunks_.per_head, parts, contexts, normalisers, context});
        launch_teams(queue_, teams(), Attend<T, most>{heads, chunks_, context, arguments.outputs[0].as<T>()});
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver workspace(arguments.workspace), saved(arguments.saved);
        const auto* normalisers = saved.take<KeyNormaliser>(count_ * width_);
        const auto* context = saved.take<float>(squares());
        auto* slopes = workspace.take<float>(squares() * chunks_.per_head);
        auto* slope = workspace.take<float>(squares());
        const Heads<T> heads = heads_of(arguments.inputs[0]);
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        T* dx = arguments.input_gradients[0].view.as<T>();
        launch_teams(queue_, teams(), QueryGradient<T, most>{heads, chunks_, dy, context, slopes, dx});
        launch(queue_, squares(), JoinSlope{width_, chunks_.per_head, heads.scale(), slopes, slope});
        launch_teams(queue_, teams(),
                     KeyValueGradient<T, most>{heads, chunks_, normalisers, context, slope, dx});
    }

  private:
    Heads<T> heads_of(const TensorView& qkv) const { return {qkv.as<T>(), positions_, op_.heads, width_}; }
    std::int64_t squares() const { return count_ * width_ * width_; }
    std::int64_t teams() const { return count_ * chunks_.per_head; }

    std::int64_t positions_, width_, count_;
    Chunks chunks_;
};

template <typename T>
using NarrowPlan = LinearAttentionPlan<T, 32>;
template <typename T>
using WidePlan = LinearAttentionPlan<T, 64>;

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::LinearAttention& op,
                                             const device::PlanRequest& request, Queue queue) {
    const std::int64_t width = request.descriptor.outputs[0].shape.channels() / op.heads;
    if (width <= 32) return make_typed<NarrowPlan>(op, request, queue);
    return width <= 64 ? make_typed<WidePlan>(op, request, queue) : nullptr;
}

}  // namespace terrane::cuda
