#include <algorithm>
#include <cmath>

#include "cpu/element.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/vector_math.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t block_positions = 512;  // whose sums are taken together
constexpr std::int64_t run = 8;                // positions that one pass over a matrix of D x D takes along

constexpr std::int64_t published_width = 32;  // channels of a head
constexpr std::int64_t tile = 32;             // columns whose sums stay in registers
constexpr std::int64_t together = 4;          // rows that share what is read of the other factor

/// a[d, e] += sum over `count` rows of left[row, d] * right[row, e]; rows are `width` long. `rows` of a at
/// once.
template <std::int64_t rows>
TERRANE_INLINE void add_outer_rows(const float* left, const float* right, std::int64_t count,
                                   std::int64_t width, std::int64_t d, std::int64_t begin,
                                   std::int64_t length, float* a) {
    float sum[rows][tile];
    for (std::int64_t k = 0; k < rows; ++k) {
#pragma omp simd
        for (std::int64_t e = 0; e < length; ++e) sum[k][e] = a[(d + k) * width + begin + e];
    }
    for (std::int64_t p = 0; p < count; ++p) {
        for (std::int64_t k = 0; k < rows; ++k) {
            const float factor = left[p * width + d + k];
#pragma omp simd
            for (std::int64_t e = 0; e < length; ++e) sum[k][e] += factor * right[p * width + begin + e];
        }
    }
    for (std::int64_t k = 0; k < rows; ++k) {
#pragma omp simd
        for (std::int64_t e = 0; e < length; ++e) a[(d + k) * width + begin + e] = sum[k][e];
    }
}
TERRANE_INLINE void add_outer(const float* left, const float* right, std::int64_t count, std::int64_t width,
                              float* a) {
    for (std::int64_t begin = 0; begin < width; begin += tile) {
        const std::int64_t length = begin + tile < width ? tile : width - begin;
        std::int64_t d = 0;
        for (; d + together <= width; d += together)
            add_outer_rows<together>(left, right, count, width, d, begin, length, a);
        for (; d < width; ++d) add_outer_rows<1>(left, right, count, width, d, begin, length, a);
    }
}

/// y[row, e] = sum_d x[row, d] * a[d, e]; `rows` of them at once.
template <std::int64_t rows>
TERRANE_INLINE void multiply_some_rows(const float* x, const float* a, std::int64_t width, std::int64_t begin,
                                       std::int64_t length, float* y) {
    float sum[rows][tile];
    for (std::int64_t k = 0; k < rows; ++k) {
#pragma omp simd
        for (std::int64_t e = 0; e < length; ++e) sum[k][e] = 0;
    }
    for (std::int64_t d = 0; d < width; ++d) {
        for (std::int64_t k = 0; k < rows; ++k) {
            const float factor = x[k * width + d];
#pragma omp simd
            for (std::int64_t e = 0; e < length; ++e) sum[k][e] += factor * a[d * width + begin + e];
        }
    }
    for (std::int64_t k = 0; k < rows; ++k) {
#pragma omp simd
        for (std::int64_t e = 0; e < length; ++e) y[k * width + begin + e] = sum[k][e];
    }
}
TERRANE_INLINE void multiply_rows(const float* x, const float* a, std::int64_t count, std::int64_t width,
                                  float* y) {
    for (std::int64_t begin = 0; begin < width; begin += tile) {
        const std::int64_t length = begin + tile < width ? tile : width - begin;
        std::int64_t p = 0;
        for (; p + together <= count; p += together)
            multiply_some_rows<together>(x + p * width, a, width, begin, length, y + p * width);
        for (; p < count; ++p) multiply_some_rows<1>(x + p * width, a, width, begin, length, y + p * width);
    }
}

/// Sum of a short row: sixteen lanes, then halves onto halves, whatever the instruction set.
template <typename Term>
TERRANE_INLINE float short_sum(std::int64_t count, const Term& term) {
    using Four [[gnu::vector_size(16)]] = float;
    float lane[16] = {};
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
#pragma omp simd
        for (std::int64_t k = 0; k < 16; ++k) lane[k] += term(i + k);
    }
    for (std::int64_t k = 0; i + k < count; ++k) lane[k] += term(i + k);
    Four part[4];
    std::memcpy(part, lane, sizeof(part));
    const Four last = (part[0] + part[2]) + (part[1] + part[3]);
    return (last[0] + last[2]) + (last[1] + last[3]);
}
TERRANE_INLINE float highest_of(const float* row, std::int64_t count) {
    float lane[16];
#pragma omp simd
    for (std::int64_t k = 0; k < 16; ++k) lane[k] = row[0];
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
#pragma omp simd
        for (std::int64_t k = 0; k < 16; ++k) lane[k] = row[i + k] > lane[k] ? row[i + k] : lane[k];
    }
    for (; i < count; ++i) lane[0] = row[i] > lane[0] ? row[i] : lane[0];
    for (std::int64_t half = 8; half > 0; half /= 2) {
#pragma omp simd
        for (std::int64_t k = 0; k < half; ++k) lane[k] = lane[k + half] > lane[k] ? lane[k + half] : lane[k];
    }
    return lane[0];
}

template <typename T>
TERRANE_INLINE void read_rows(const T* from, std::int64_t stride, std::int64_t count, std::int64_t width,
                              float* rows) {
    for (std::int64_t p = 0; p < count; ++p) {
#pragma omp simd
        for (std::int64_t d = 0; d < width; ++d) rows[p * width + d] = load(from + p * stride + d);
    }
}
template <typename T>
TERRANE_INLINE void write_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t width,
                               T* to) {
    for (std::int64_t p = 0; p < count; ++p) {
#pragma omp simd
        for (std::int64_t d = 0; d < width; ++d) store(to + p * stride + d, rows[p * width + d]);
    }
}

/// Softmax of each row.
TERRANE_INLINE void softmax_rows(float* rows, std::int64_t count, std::int64_t width) {
    for (std::int64_t p = 0; p < count; ++p) {
        float* const row = rows + p * width;
        const float highest = highest_of(row, width);
#pragma omp simd
        for (std::int64_t d = 0; d < width; ++d) row[d] = exponential(row[d] - highest);
        const float factor =
            1.0f / short_sum(width, [&](std::int64_t d) TERRANE_INLINE_LAMBDA { return row[d]; });
#pragma omp simd
        for (std::int64_t d = 0; d < width; ++d) row[d] *= factor;
    }
}
/// rows = exp(rows - highest) * factor, each column with its own numbers.
TERRANE_INLINE void key_rows(float* rows, std::int64_t count, std::int64_t width, const float* highest,
                             const float* factor) {
    for (std::int64_t p = 0; p < count; ++p) {
#pragma omp simd
        for (std::int64_t d = 0; d < width; ++d) {
            rows[p * width + d] = exponential(rows[p * width + d] - highest[d]) * factor[d];
        }
    }
}

template <typename T>
class LinearAttentionPlan final : public LoopPlan {
  public:
    explicit LinearAttentionPlan(const device::PlanRequest& request)
        : shape_(request.descriptor.outputs[0].shape),
          heads_(std::get<ops::LinearAttention>(request.descriptor.op).heads),
          width_(shape_.channels() / heads_),
          positions_(shape_.height() * shape_.width()),
          blocks_((positions_ + block_positions - 1) / block_positions),
          keeps_(wants_any_gradient(request)),
          scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(width_)))) {
        MemoryLayout kept(nullptr), scratch(nullptr);
        Kept{kept, *this};
        Scratch{scratch, *this};
        requirements_.saved = keeps_ ? kept.used() : 0;
        requirements_.forward_workspace = scratch.used() + (keeps_ ? 0 : kept.used());
        requirements_.backward_workspace = keeps_ ? scratch.used() : 0;
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const qkv = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        MemoryLayout workspace(arguments.workspace), saved(arguments.saved);
        const Scratch scratch(workspace, *this);
        const Kept kept(keeps_ ? saved : workspace, *this);
        for_blocks([&](const Block& block, std::int64_t width)
                       TERRANE_INLINE_LAMBDA { find_highest(qkv, block, scratch, width); });
        for (std::int64_t head = 0; head < shape_.batch() * heads_; ++head) {
            for (std::int64_t d = 0; d < width_; ++d) {
                float highest = scratch.highest[head * blocks_ * width_ + d];
                for (std::int64_t b = 1; b < blocks_; ++b) {
                    highest = std::max(highest, scratch.highest[(head * blocks_ + b) * width_ + d]);
                }
                kept.highest[head * width_ + d] = highest;
                kept.factor[head * width_ + d] = 1.0f;
            }
        }
        for_blocks([&](const Block& block, std::int64_t width)
                       TERRANE_INLINE_LAMBDA { sum_context(qkv, block, kept, scratch, width); });
        for (std::int64_t head = 0; head < shape_.batch() * heads_; ++head)
            finish_context(head, kept, scratch);
        for_blocks([&](const Block& block, std::int64_t width)
                       TERRANE_INLINE_LAMBDA { answer(qkv, y, block, kept, width); });
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        if (!dx) return;
        const T* const qkv = arguments.inputs[0].as<T>();
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        MemoryLayout workspace(arguments.workspace), saved(arguments.saved);
        const Scratch scratch(workspace, *this);
        const Kept kept(saved, *this);
        for_blocks([&](const Block& block, std::int64_t width)
                       TERRANE_INLINE_LAMBDA { query_gradients(qkv, dy, dx, block, kept, scratch, width); });
        for (std::int64_t head = 0; head < shape_.batch() * heads_; ++head)
            finish_slopes(head, kept, scratch);
        for_blocks([&](const Block& block, std::int64_t width)
                       TERRANE_INLINE_LAMBDA { key_gradients(qkv, dx, block, kept, scratch, width); });
    }

  private:
    /// What forward leaves to backward, per sample and head.
    struct Kept {
        Kept(MemoryLayout& layout, const LinearAttentionPlan& plan)
            : highest(layout.take<float>(plan.matrices() * plan.width_)),
              factor(layout.take<float>(plan.matrices() * plan.width_)),
              context(layout.take<float>(plan.matrices() * plan.width_ * plan.width_)),
              transposed(layout.take<float>(plan.matrices() * plan.width_ * plan.width_)) {}
        float *highest, *factor, *context, *transposed;
    };
    /// Sums of blocks, and what is made of them.
    struct Scratch {
        Scratch(MemoryLayout& layout, const LinearAttentionPlan& plan)
            : highest(layout.take<float>(plan.matrices() * plan.blocks_ * plan.width_)),
              sums(layout.take<float>(plan.matrices() * plan.blocks_ * plan.width_)),
              matrices(layout.take<float>(plan.matrices() * plan.blocks_ * plan.width_ * plan.width_)),
              slope(layout.take<float>(plan.matrices() * plan.width_ * plan.width_)),
              transposed(layout.take<float>(plan.matrices() * plan.width_ * plan.width_)),
              along(layout.take<float>(plan.matrices() * plan.width_)) {}
        float *highest, *sums, *matrices, *slope, *transposed, *along;
    };
    struct Block {
        std::int64_t head;     ///< sample * heads + head
        std::int64_t place;    ///< head * blocks + block
        std::int64_t in, out;  ///< first element of its queries in qkv, and in the output
        std::int64_t count;
    };
    std::int64_t matrices() const { return shape_.batch() * heads_; }
    std::int64_t in_stride() const { return 3 * heads_ * width_; }
    std::int64_t out_stride() const { return heads_ * width_; }
    std::int64_t part(std::int64_t which) const { return which * heads_ * width_; }

    /// body(block, width) for all blocks; the published width is a number that the compiler knows.
    template <typename Body>
    void for_blocks(const Body& body) const {
        parallel_blocks(matrices() * blocks_, 64 * shape_.elements(), [&](std::int64_t place) {
            const std::int64_t head = place / blocks_, first = place % blocks_ * block_positions;
            const std::int64_t position = head / heads_ * positions_ + first;
            const Block block{head, place, position * in_stride() + head % heads_ * width_,
                              position * out_stride() + head % heads_ * width_,
                              std::min(block_positions, positions_ - first)};
            vectorised([&] {
                if (width_ == published_width) {
                    body(block, published_width);
                } else {
                    body(block, width_);
                }
            });
        });
    }

    TERRANE_INLINE void find_highest(const T* qkv, const Block& block, const Scratch& scratch,
                                     std::int64_t width) const {
        float* const highest = scratch.highest + block.place * width;
        const T* const keys = qkv + block.in + part(1);
#pragma omp simd
        for (std::int64_t d = 0; d < width; ++d) highest[d] = load(keys + d);
        for (std::int64_t p = 1; p < block.count; ++p) {
#pragma omp simd
            for (std::int64_t d = 0; d < width; ++d) {
                const float value = load(keys + p * in_stride() + d);
                highest[d] = value > highest[d] ? value : highest[d];
            }
        }
    }

    TERRANE_INLINE void sum_context(const T* qkv, const Block& block, const Kept& kept,
                                    const Scratch& scratch, std::int64_t width) const {
        float keys[run * most_width], values[run * most_width];
        float* const sums = scratch.sums + block.place * width;
        float* const matrix = scratch.matrices + block.place * width * width;
        for (std::int64_t d = 0; d < width; ++d) sums[d] = 0;
        for (std::int64_t i = 0; i < width * width; ++i) matrix[i] = 0;
        for (std::int64_t p = 0; p < block.count; p += run) {
            const std::int64_t count = block.count - p < run ? block.count - p : run;
            read_rows(qkv + block.in + part(1) + p * in_stride(), in_stride(), count, width, keys);
            read_rows(qkv + block.in + part(2) + p * in_stride(), in_stride(), count, width, values);
            key_rows(keys, count, width, kept.highest + block.head * width, kept.factor + block.head * width);
            for (std::int64_t k = 0; k < count; ++k) {
#pragma omp simd
                for (std::int64_t d = 0; d < width; ++d) sums[d] += keys[k * width + d];
            }
            add_outer(keys, values, count, width, matrix);
        }
    }

    void finish_context(std::int64_t head, const Kept& kept, const Scratch& scratch) const {
        for (std::int64_t d = 0; d < width_; ++d) {
            double sum = 0;
            for (std::int64_t b = 0; b < blocks_; ++b) {
                sum += static_cast<double>(scratch.sums[(head * blocks_ + b) * width_ + d]);
            }
            kept.factor[head * width_ + d] = static_cast<float>(1 / sum);
            for (std::int64_t e = 0; e < width_; ++e) {
                double total = 0;
                for (std::int64_t b = 0; b < blocks_; ++b) {
                    total += static_cast<double>(
                        scratch.matrices[((head * blocks_ + b) * width_ + d) * width_ + e]);
                }
                const float value = static_cast<float>(total / sum);
                kept.context[(head * width_ + d) * width_ + e] = value;
                kept.transposed[(head * width_ + e) * width_ + d] = value;
            }
        }
    }

    TERRANE_INLINE void answer(const T* qkv, T* y, const Block& block, const Kept& kept,
                               std::int64_t width) const {
        float queries[run * most_width], answers[run * most_width];
        for (std::int64_t p = 0; p < block.count; p += run) {
            const std::int64_t count = block.count - p < run ? block.count - p : run;
            read_rows(qkv + block.in + p * in_stride(), in_stride(), count, width, queries);
            softmax_rows(queries, count, width);
            scale_all(queries, count * width);
            multiply_rows(queries, kept.context + block.head * width * width, count, width, answers);
            write_rows(answers, out_stride(), count, width, y + block.out + p * out_stride());
        }
    }

    TERRANE_INLINE void scale_all(float* values, std::int64_t count) const {
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) values[i] *= scale_;
    }

    TERRANE_INLINE void query_gradients(const T* qkv, const T* dy, T* dx, const Block& block,
                                        const Kept& kept, const Scratch& scratch, std::int64_t width) const {
        float queries[run * most_width], slopes[run * most_width], gradients[run * most_width];
        float* const matrix = scratch.matrices + block.place * width * width;
        for (std::int64_t i = 0; i < width * width; ++i) matrix[i] = 0;
        for (std::int64_t p = 0; p < block.count; p += run) {
            const std::int64_t count = block.count - p < run ? block.count - p : run;
            read_rows(qkv + block.in + p * in_stride(), in_stride(), count, width, queries);
            read_rows(dy + block.out + p * out_stride(), out_stride(), count, width, slopes);
            scale_all(slopes, count * width);
            softmax_rows(queries, count, width);
            add_outer(queries, slopes, count, width, matrix);
            multiply_rows(slopes, kept.transposed + block.head * width * width, count, width, gradients);
            for (std::int64_t k = 0; k < count; ++k) {
                const float* const share = queries + k * width;
                float* const slope = gradients + k * width;
                const float along = short_sum(
                    width, [&](std::int64_t d) TERRANE_INLINE_LAMBDA { return slope[d] * share[d]; });
#pragma omp simd
                for (std::int64_t d = 0; d < width; ++d) slope[d] = share[d] * (slope[d] - along);
            }
            write_rows(gradients, in_stride(), count, width, dx + block.in + p * in_stride());
        }
    }

    void finish_slopes(std::int64_t head, const Kept& kept, const Scratch& scratch) const {
        for (std::int64_t d = 0; d < width_; ++d) {
            double along = 0;
            for (std::int64_t e = 0; e < width_; ++e) {
                double total = 0;
                for (std::int64_t b = 0; b < blocks_; ++b) {
                    total += static_cast<double>(
                        scratch.matrices[((head * blocks_ + b) * width_ + d) * width_ + e]);
                }
                along += total * static_cast<double>(kept.context[(head * width_ + d) * width_ + e]);
                scratch.slope[(head * width_ + d) * width_ + e] = static_cast<float>(total);
                scratch.transposed[(head * width_ + e) * width_ + d] = static_cast<float>(total);
            }
            scratch.along[head * width_ + d] = static_cast<float>(along);
        }
    }

    TERRANE_INLINE void key_gradients(const T* qkv, T* dx, const Block& block, const Kept& kept,
                                      const Scratch& scratch, std::int64_t width) const {
        float keys[run * most_width], values[run * most_width], gradients[run * most_width];
        const float* const along = scratch.along + block.head * width;
        for (std::int64_t p = 0; p < block.count; p += run) {
            const std::int64_t count = block.count - p < run ? block.count - p : run;
            read_rows(qkv + block.in + part(1) + p * in_stride(), in_stride(), count, width, keys);
            read_rows(qkv + block.in + part(2) + p * in_stride(), in_stride(), count, width, values);
            key_rows(keys, count, width, kept.highest + block.head * width, kept.factor + block.head * width);
            multiply_rows(keys, scratch.slope + block.head * width * width, count, width, gradients);
            write_rows(gradients, in_stride(), count, width, dx + block.in + part(2) + p * in_stride());
            multiply_rows(values, scratch.transposed + block.head * width * width, count, width, gradients);
            for (std::int64_t k = 0; k < count; ++k) {
#pragma omp simd
                for (std::int64_t d = 0; d < width; ++d) {
                    gradients[k * width + d] = keys[k * width + d] * (gradients[k * width + d] - along[d]);
                }
            }
            write_rows(gradients, in_stride(), count, width, dx + block.in + part(1) + p * in_stride());
        }
    }

  public:
    static constexpr std::int64_t most_width = 64;

  private:
    Shape shape_;
    std::int64_t heads_, width_, positions_, blocks_;
    bool keeps_;
    float scale_;
};

}  // namespace

Offer make_linear_attention(const device::PlanRequest& request) {
    const auto& op = std::get<ops::LinearAttention>(request.descriptor.op);
    const std::int64_t width = request.descriptor.outputs[0].shape.channels() / op.heads;
    if (width > LinearAttentionPlan<float>::most_width) {
        return Refusal{fmt::format("heads of {} channels are wider than {}", width,
                                   LinearAttentionPlan<float>::most_width)};
    }
    return offer_by_type<LinearAttentionPlan>(request);
}

}  // namespace terrane::cpu
