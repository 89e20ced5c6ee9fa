#pragma once

#include <cstdint>

#include "cpu/norm_rows.hpp"

namespace terrane::cpu {

/// How an activation [segments, pixels, channels] is walked by batch norm (one segment: the whole batch) and
/// by group norm (one segment per sample). Few channels are folded: several pixels side by side form one row
/// of at least 64 columns, column v holding channel v % channels. Rows are cut into blocks whose number
/// depends on the shape alone; sums of blocks are combined in order, so no result depends on the thread
/// count.
struct NormGeometry {
    NormGeometry(std::int64_t segments, std::int64_t pixels, std::int64_t channels);

    std::int64_t segments, pixels, channels;
    std::int64_t fold;     ///< pixels per row
    std::int64_t columns;  ///< channels * fold
    std::int64_t rows;     ///< full rows per segment
    std::int64_t tail;     ///< elements after the last full row
    std::int64_t block_rows;
    std::int64_t blocks;  ///< per segment

    std::int64_t segment_elements() const { return pixels * channels; }
    std::int64_t elements() const { return segments * segment_elements(); }
    /// Doubles of scratch that moments() and gradient_sums() need.
    std::int64_t scratch() const { return 2 * segments * blocks * columns; }
    /// Rows of one block, without the tail.
    std::int64_t rows_of(std::int64_t block) const;
};

/// The gradient's sources and what happens to them on the way.
template <typename T>
struct NormGradient {
    GradientSources<T> sources;
    int terms = 1;
    Mask mask = Mask::none;
};

/// Passes over memory; T is float or bfloat16. Coefficient arrays hold `columns` floats per segment, channel
/// sums `channels` doubles per segment.
template <typename T>
struct NormPasses {
    /// Mean and sum of squared deviations of each channel of each segment.
    static void moments(const NormGeometry& geometry, const T* x, double* scratch, double* mean,
                        double* squares);
    /// y = tail((x - mean) * factor + shift + added?); `added` may be null, and is with Tail::silu.
    static void normalise(const NormGeometry& geometry, const T* x, const T* added, Tail tail, T* y,
                          ForwardColumns forward);
    /// Sums of dz and dz * (x - mean); writes dz to `dz_out` unless that is null.
    static void gradient_sums(const NormGeometry& geometry, const T* x, const NormGradient<T>& gradient,
                              T* dz_out, ForwardColumns forward, double* scratch, double* sums,
                              double* products);
    /// dx = (x - mean) * along_x + dz * factor + constant.
    static void input_gradients(const NormGeometry& geometry, const T* x, const NormGradient<T>& gradient,
                                T* dx, ForwardColumns forward, BackwardColumns backward);
};

/// Copies the first `channels` values to all further columns.
void repeat_columns(const NormGeometry& geometry, float* values);

extern template struct NormPasses<float>;
extern template struct NormPasses<bfloat16>;

}  // namespace terrane::cpu
