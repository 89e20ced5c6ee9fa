#pragma once

#include <cstdint>

#include "cpu/element.hpp"
#include "cpu/vector_math.hpp"
#include "formulas/norm.hpp"

/// The inner loops of batch and group norm over a matrix of rows (pixels) and columns (channels). Columns are
/// independent, so the loops vectorise across them and every sum keeps its order whatever the vector length.
namespace terrane::cpu {

/// Columns that one call of a summing loop handles: their partial sums stay in the first-level cache.
inline constexpr std::int64_t column_chunk = 512;
/// Rows whose contributions are added in fp32 before they go to a double.
inline constexpr std::int64_t short_run = 32;

/// Which gradient passes the fused ReLU; with `silu` the slope of a fused SiLU multiplies it.
enum class Mask { none, recomputed, from_output, silu };

/// Coefficients of y = (x - mean) * factor + shift, one per column.
struct ForwardColumns {
    const float* mean;
    const float* factor;
    const float* shift;
};

/// Coefficients of dx = (x - mean) * along_x + dz * factor + constant, one per column.
struct BackwardColumns {
    const float* along_x;
    const float* constant;
};

template <typename T>
struct GradientSources {
    const T* first;
    const T* second;  ///< null unless there are two terms
    const T* output;  ///< y, for Mask::from_output
};

template <int terms, Mask mask, typename T>
TERRANE_INLINE float incoming(const GradientSources<T>& source, std::int64_t place, float forward_value) {
    float gradient = load(source.first + place);
    if constexpr (terms == 2) gradient += load(source.second + place);
    if constexpr (mask == Mask::recomputed) gradient = forward_value > 0 ? gradient : 0;
    if constexpr (mask == Mask::silu) {
        const float gate = sigmoid(forward_value);
        gradient *= gate * (1.0f + forward_value * (1.0f - gate));
    }
    if constexpr (mask == Mask::from_output) gradient = load(source.output + place) > 0 ? gradient : 0;
    return gradient;
}

/// Mean and sum of squared deviations of every column of a block; `tail` further values follow the last row
/// in the first columns. Differences from a pivot (the mean of the first rows) are summed, so that a large
/// mean costs no digits.
template <typename T>
TERRANE_INLINE void column_moments(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t columns,
                                   std::int64_t tail, double* mean, double* squares) {
    float pivot[column_chunk];
    float sum[column_chunk];
    float square[column_chunk];
    const std::int64_t first = rows < 8 ? rows : 8;
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) pivot[c] = 0;
    for (std::int64_t r = 0; r < first; ++r) {
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) pivot[c] += load(x + r * stride + c);
    }
    const float share = first > 0 ? 1.0f / static_cast<float>(first) : 0.0f;
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) {
        pivot[c] *= share;
        mean[c] = 0;
        squares[c] = 0;
    }
    for (std::int64_t begin = 0; begin < rows; begin += short_run) {
        const std::int64_t end = begin + short_run < rows ? begin + short_run : rows;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            sum[c] = 0;
            square[c] = 0;
        }
        std::int64_t r = begin;
        for (; r + 4 <= end; r += 4) {
            const T* row = x + r * stride;
#pragma omp simd
            for (std::int64_t c = 0; c < columns; ++c) {
                const float d0 = load(row + c) - pivot[c];
                const float d1 = load(row + stride + c) - pivot[c];
                const float d2 = load(row + 2 * stride + c) - pivot[c];
                const float d3 = load(row + 3 * stride + c) - pivot[c];
                sum[c] += (d0 + d1) + (d2 + d3);
                square[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
            }
        }
        for (; r < end; ++r) {
            const T* row = x + r * stride;
#pragma omp simd
            for (std::int64_t c = 0; c < columns; ++c) {
                const float d = load(row + c) - pivot[c];
                sum[c] += d;
                square[c] += d * d;
            }
        }
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            mean[c] += static_cast<double>(sum[c]);
            squares[c] += static_cast<double>(square[c]);
        }
    }
    for (std::int64_t c = 0; c < tail; ++c) {
        const double d = static_cast<double>(load(x + rows * stride + c)) - static_cast<double>(pivot[c]);
        mean[c] += d;
        squares[c] += d * d;
    }
    for (std::int64_t c = 0; c < columns; ++c) {
        const double count = static_cast<double>(rows + (c < tail ? 1 : 0));
        const double shift = count > 0 ? mean[c] / count : 0;
        const double spread = squares[c] - mean[c] * shift;
        squares[c] = spread > 0 ? spread : 0;
        mean[c] = static_cast<double>(pivot[c]) + shift;
    }
}

/// Sums over a block of dz and of dz * (x - mean), per column. With `write`, dz also goes to `dz_out`.
template <int terms, Mask mask, bool write, typename T>
TERRANE_INLINE void column_gradient_row(const T* x, GradientSources<T> dy, T* dz_out, std::int64_t columns,
                                        ForwardColumns forward, float* sum, float* product) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) {
        const float centred = load(x + c) - forward.mean[c];
        const float dz = incoming<terms, mask>(dy, c, centred * forward.factor[c] + forward.shift[c]);
        if constexpr (write) store(dz_out + c, dz);
        sum[c] += dz;
        product[c] += dz * centred;
    }
}

template <int terms, Mask mask, bool write, typename T>
TERRANE_INLINE void column_gradients(const T* x, GradientSources<T> dy, T* dz_out, std::int64_t rows,
                                     std::int64_t stride, std::int64_t columns, std::int64_t tail,
                                     ForwardColumns forward, double* sums, double* products) {
    float sum[column_chunk];
    float product[column_chunk];
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) {
        sums[c] = 0;
        products[c] = 0;
    }
    const std::int64_t last = rows + (tail > 0 ? 1 : 0);
    for (std::int64_t begin = 0; begin < last; begin += short_run) {
        const std::int64_t end = begin + short_run < last ? begin + short_run : last;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            sum[c] = 0;
            product[c] = 0;
        }
        for (std::int64_t r = begin; r < end; ++r) {
            const std::int64_t at = r * stride;
            const GradientSources<T> row{dy.first + at, terms == 2 ? dy.second + at : nullptr,
                                         mask == Mask::from_output ? dy.output + at : nullptr};
            column_gradient_row<terms, mask, write>(x + at, row, write ? dz_out + at : nullptr,
                                                    r < rows ? columns : tail, forward, sum, product);
        }
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            sums[c] += static_cast<double>(sum[c]);
            products[c] += static_cast<double>(product[c]);
        }
    }
}

/// What is fused behind a normalisation.
enum class Tail { none, relu, silu };

template <Tail tail, bool residual, typename T>
TERRANE_INLINE void normalise_rows(const T* x, const T* added, T* y, std::int64_t rows, std::int64_t columns,
                                   ForwardColumns forward) {
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t at = r * columns;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            const formulas::NormForward<float> norm{forward.mean[c], forward.factor[c], forward.shift[c]};
            float value = norm.apply(load(x + at + c));
            if constexpr (residual) value += load(added + at + c);
            if constexpr (tail == Tail::relu) value = value > 0 ? value : 0;
            if constexpr (tail == Tail::silu) value *= sigmoid(value);
            store(y + at + c, value);
        }
    }
}

template <int terms, Mask mask, typename T>
TERRANE_INLINE void input_gradient_rows(const T* x, GradientSources<T> dy, T* dx, std::int64_t rows,
                                        std::int64_t columns, ForwardColumns forward,
                                        BackwardColumns backward) {
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t at = r * columns;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            const float value = load(x + at + c);
            const formulas::NormForward<float> norm{forward.mean[c], forward.factor[c], forward.shift[c]};
            const float dz = incoming<terms, mask>(dy, at + c, norm.apply(value));
            const formulas::NormBackward<float> slope{forward.mean[c], forward.factor[c], backward.along_x[c],
                                                      backward.constant[c]};
            store(dx + at + c, slope.apply(value, dz));
        }
    }
}

}  // namespace terrane::cpu
