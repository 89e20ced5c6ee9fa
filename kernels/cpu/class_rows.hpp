#pragma once

#include <cstdint>
#include <vector>

#include "cpu/element.hpp"
#include "cpu/parallel.hpp"
#include "cpu/reading_list.hpp"
#include "cpu/vector_math.hpp"
#include "tensor/shape.hpp"

/// Upsampled logits row by row, for the ops that work at the labels' resolution: a row is made where it is
/// used and never stored. Within a row each class is one plane of `width` values, so that everything
/// vectorises across pixels.
namespace terrane::cpu {

/// Whether rows flow back to gradients of the logits.
enum class RowGradient { no, yes };

/// One row of upsampled logits and where it lies.
struct ClassRow {
    std::int64_t sample, y;
    std::int64_t block;  ///< index of the block, for sums of its own
    bool owned;          ///< each row is owned by one block, but may be computed by two for their gradients
    std::int64_t width, classes;
    float* planes;  ///< [classes, width]
    float* extra;   ///< [5, width], scratch

    TERRANE_INLINE float* plane(std::int64_t c) const { return planes + c * width; }
    TERRANE_INLINE float* scratch(int i) const { return extra + i * width; }
};

/// How logits [N, h, w, K] are walked at a resolution [N, height, width]. A block is a run of source rows of
/// one sample together with the target rows that read them; the blocks depend on the shape alone.
class ClassRows {
  public:
    /// At most `most_blocks` blocks, or one per sample.
    ClassRows(const Shape& logits, std::int64_t height, std::int64_t width, ops::Corners corners,
              RowGradient gradient, std::int64_t most_blocks = 64);

    std::int64_t blocks() const { return blocks_; }
    std::int64_t classes() const { return classes_; }
    std::int64_t width() const { return columns_.targets; }
    std::int64_t height() const { return rows_.targets; }
    std::int64_t logits() const { return batch_ * rows_.sources * columns_.sources * classes_; }
    /// Floats of scratch for all blocks.
    std::int64_t scratch() const { return blocks_ * block_scratch_; }

    /// Calls body(row) for every target row; owned rows only.
    template <typename T, typename Body>
    void visit(const T* logits, float* scratch, const Body& body) const {
        parallel_blocks(blocks_, bytes(), [&](std::int64_t index) {
            const Block block = block_at(index, scratch);
            vectorised([&] {
                for (std::int64_t y = block.owned_begin; y < block.owned_end; ++y) {
                    body(upsampled(logits, block, y));
                }
            });
        });
    }

    /// Likewise, but body leaves in the planes the slopes of the loss by the upsampled logits; the gradients
    /// of the logits are written to `slopes`, gathered in a fixed order.
    template <typename T, typename Body>
    void visit_with_gradient(const T* logits, T* slopes, float* scratch, const Body& body) const {
        parallel_blocks(blocks_, 2 * bytes(), [&](std::int64_t index) {
            const Block block = block_at(index, scratch);
            vectorised([&] { gradient_block(logits, slopes, block, body); });
        });
    }

  private:
    struct Block {
        std::int64_t index, sample;
        std::int64_t source_begin, source_end;
        std::int64_t owned_begin, owned_end;  ///< target rows
        std::int64_t begin, end;              ///< target rows that read the block's source rows
        float *between, *planes, *extra, *reduced, *sums;
    };

    Block block_at(std::int64_t index, float* scratch) const;
    std::int64_t bytes() const;

    template <typename T>
    TERRANE_INLINE ClassRow upsampled(const T* logits, const Block& block, std::int64_t y) const {
        const std::int64_t row_elements = columns_.sources * classes_;
        const formulas::Tap<float> tap = rows_.taps()[y];
        const T* const map = logits + block.sample * rows_.sources * row_elements;
        const T* const upper = map + tap.index0 * row_elements;
        const T* const lower = map + tap.index1 * row_elements;
        float* const between = block.between;
#pragma omp simd
        for (std::int64_t i = 0; i < row_elements; ++i) {
            between[i] = tap.weight0 * load(upper + i) + tap.weight1 * load(lower + i);
        }
        const std::int64_t width = columns_.targets;
        const std::int32_t* const left = left_.data();
        const std::int32_t* const right = right_.data();
        const float* const left_weight = left_weight_.data();
        const float* const right_weight = right_weight_.data();
        for (std::int64_t c = 0; c < classes_; ++c) {
            float* const plane = block.planes + c * width;
            const float* const from = between + c;
#pragma omp simd
            for (std::int64_t x = 0; x < width; ++x) {
                plane[x] = left_weight[x] * from[left[x]] + right_weight[x] * from[right[x]];
            }
        }
        return {block.sample, y,        block.index,  y >= block.owned_begin && y < block.owned_end,
                width,        classes_, block.planes, block.extra};
    }

    /// From slopes by the targets of one row to [classes, source columns].
    TERRANE_INLINE void reduce_row(const float* planes, float* reduced) const {
        const std::int64_t sources = columns_.sources;
        const std::int32_t* const first = first_reader_.data();
        for (std::int64_t c = 0; c < classes_; ++c) {
            const float* const plane = planes + c * columns_.targets;
            float* const out = reduced + c * sources;
#pragma omp simd
            for (std::int64_t j = 0; j < sources; ++j) out[j] = 0;
            for (std::int64_t reader = 0; reader < most_readers_; ++reader) {
                const float* const weight = reader_weight_.data() + reader * sources;
                const float* const from = plane + reader;
                // Where a source has fewer readers the weight is 0 and the place still inside the row.
#pragma omp simd
                for (std::int64_t j = 0; j < sources; ++j) out[j] += weight[j] * from[first[j]];
            }
        }
    }

    template <typename T, typename Body>
    TERRANE_INLINE void gradient_block(const T* logits, T* slopes, const Block& block,
                                       const Body& body) const {
        const std::int64_t row_elements = columns_.sources * classes_;
        const std::int64_t source_rows = block.source_end - block.source_begin;
#pragma omp simd
        for (std::int64_t i = 0; i < source_rows * row_elements; ++i) block.sums[i] = 0;
        for (std::int64_t y = block.begin; y < block.end; ++y) {
            body(upsampled(logits, block, y));
            reduce_row(block.planes, block.reduced);
            const formulas::Tap<float> tap = rows_.taps()[y];
            for (std::int64_t i = tap.index0; i <= tap.index1; ++i) {
                if (i < block.source_begin || i >= block.source_end) continue;
                const float weight = formulas::reading_weight(tap, i);
                float* const sum = block.sums + (i - block.source_begin) * row_elements;
#pragma omp simd
                for (std::int64_t e = 0; e < row_elements; ++e) sum[e] += weight * block.reduced[e];
            }
        }
        T* const out = slopes + (block.sample * rows_.sources + block.source_begin) * row_elements;
        for (std::int64_t row = 0; row < source_rows; ++row) {
            for (std::int64_t c = 0; c < classes_; ++c) {
                const float* const from = block.sums + row * row_elements + c * columns_.sources;
                T* const to = out + row * row_elements + c;
                for (std::int64_t j = 0; j < columns_.sources; ++j) store(to + j * classes_, from[j]);
            }
        }
    }

    std::int64_t batch_, classes_;
    ReadingList rows_, columns_;
    std::int64_t block_rows_ = 1;     ///< source rows per block
    std::int64_t sample_blocks_ = 1;  ///< blocks per sample
    std::int64_t blocks_ = 1, block_scratch_ = 0;
    std::vector<std::int64_t> owned_;  ///< first target row owned by each source row, and the end
    std::vector<std::int32_t> left_,
        right_;  ///< elements read by each target column, before adding the class
    std::vector<float> left_weight_, right_weight_;
    std::int64_t most_readers_ = 1;
    std::vector<std::int32_t> first_reader_;
    std::vector<float> reader_weight_;  ///< [most readers, source columns]
};

/// Turns logits into exp(logit - maximum); leaves the maximum in scratch 0 and the sum in scratch 1.
TERRANE_INLINE void exponentiate(const ClassRow& row) {
    float* const maximum = row.scratch(0);
    float* const total = row.scratch(1);
#pragma omp simd
    for (std::int64_t x = 0; x < row.width; ++x) maximum[x] = row.planes[x];
    for (std::int64_t c = 1; c < row.classes; ++c) {
        const float* const plane = row.plane(c);
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x)
            maximum[x] = plane[x] > maximum[x] ? plane[x] : maximum[x];
    }
#pragma omp simd
    for (std::int64_t x = 0; x < row.width; ++x) total[x] = 0;
    for (std::int64_t c = 0; c < row.classes; ++c) {
        float* const plane = row.plane(c);
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x) {
            plane[x] = exponential(plane[x] - maximum[x]);
            total[x] += plane[x];
        }
    }
}

/// Turns logits into probabilities.
TERRANE_INLINE void soften(const ClassRow& row) {
    exponentiate(row);
    float* const total = row.scratch(1);
#pragma omp simd
    for (std::int64_t x = 0; x < row.width; ++x) total[x] = 1.0f / total[x];
    for (std::int64_t c = 0; c < row.classes; ++c) {
        float* const plane = row.plane(c);
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x) plane[x] *= total[x];
    }
}

/// Adds up what blocks left, [blocks][width], in their order; overwrites `sums`.
inline void add_blocks(const double* parts, std::int64_t blocks, std::int64_t width, double* sums) {
    std::fill_n(sums, width, 0.0);
    for (std::int64_t block = 0; block < blocks; ++block) {
        for (std::int64_t i = 0; i < width; ++i) sums[i] += parts[block * width + i];
    }
}

}  // namespace terrane::cpu
