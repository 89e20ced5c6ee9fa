#include "cpu/norm_passes.hpp"

#include <algorithm>

#include "cpu/parallel.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t narrowest = 64;          // columns of a row, at least
constexpr std::int64_t block_elements = 32768;  // of one block, at least
constexpr std::int64_t fewest_block_rows = 64;  // keeps a block's two doubles per column cheap
constexpr std::int64_t most_blocks = 128;       // per segment

std::int64_t divided_up(std::int64_t dividend, std::int64_t divisor) {
    return (dividend + divisor - 1) / divisor;
}

/// body(segment, block, first column, columns) for all blocks of all segments, wide rows in several pieces.
template <typename Body>
void for_blocks(const NormGeometry& geometry, std::int64_t bytes, const Body& body) {
    const std::int64_t chunks = divided_up(geometry.columns, column_chunk);
    parallel_blocks(geometry.segments * geometry.blocks * chunks, bytes, [&](std::int64_t task) {
        const std::int64_t first = task % chunks * column_chunk;
        const std::int64_t block = task / chunks % geometry.blocks;
        body(task / chunks / geometry.blocks, block, first, std::min(column_chunk, geometry.columns - first));
    });
}

/// body(first element, segment, rows, columns) for pieces that cover everything.
template <typename Body>
void for_rows(const NormGeometry& geometry, std::int64_t bytes, const Body& body) {
    const std::int64_t units = geometry.rows + (geometry.tail > 0 ? 1 : 0);
    parallel_range(geometry.segments * units, bytes, 1, [&](std::int64_t begin, std::int64_t end) {
        while (begin < end) {
            const std::int64_t segment = begin / units;
            const std::int64_t first = begin - segment * units;
            const std::int64_t last = std::min(units, first + end - begin);
            const std::int64_t rows = std::min(last, geometry.rows) - std::min(first, geometry.rows);
            const std::int64_t start = segment * geometry.segment_elements();
            if (rows > 0) body(start + first * geometry.columns, segment, rows, geometry.columns);
            if (last > geometry.rows) {
                body(start + geometry.rows * geometry.columns, segment, std::int64_t{1}, geometry.tail);
            }
            begin += last - first;
        }
    });
}

/// Elements of the tail that fall into columns [first, first + columns) of the last block.
std::int64_t tail_of(const NormGeometry& geometry, std::int64_t block, std::int64_t first,
                     std::int64_t columns) {
    if (block + 1 < geometry.blocks) return 0;
    return std::clamp<std::int64_t>(geometry.tail - first, 0, columns);
}

ForwardColumns moved(ForwardColumns columns, std::int64_t by) {
    return {columns.mean + by, columns.factor + by, columns.shift + by};
}

template <typename T>
GradientSources<T> moved(GradientSources<T> sources, std::int64_t by) {
    return {sources.first + by, sources.second ? sources.second + by : nullptr,
            sources.output ? sources.output + by : nullptr};
}

TERRANE_INLINE void combine_moments(const NormGeometry& geometry, const double* means, const double* squares,
                                    std::int64_t channels, double* mean, double* square) {
    const auto pieces = [&](const auto& visit) {
        for (std::int64_t block = 0; block < geometry.blocks; ++block) {
            const std::int64_t tail =
                block + 1 == geometry.blocks ? geometry.tail / geometry.channels : std::int64_t{0};
            const std::int64_t rows = geometry.rows_of(block);
            for (std::int64_t k = 0; k < geometry.fold; ++k) {
                visit(block * geometry.columns + k * geometry.channels,
                      static_cast<double>(rows + (k < tail ? 1 : 0)));
            }
        }
    };
    const double share = 1.0 / static_cast<double>(geometry.pixels);
    for (std::int64_t c = 0; c < channels; ++c) {
        mean[c] = 0;
        square[c] = 0;
    }
    pieces([&](std::int64_t at, double count) {
        const double weight = count * share;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) mean[c] += weight * means[at + c];
    });
    pieces([&](std::int64_t at, double count) {
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
            const double d = means[at + c] - mean[c];
            square[c] += squares[at + c] + count * (d * d);
        }
    });
}

TERRANE_INLINE void combine_sums(const NormGeometry& geometry, const double* sums, const double* products,
                                 std::int64_t channels, double* sum, double* product) {
    for (std::int64_t c = 0; c < channels; ++c) {
        sum[c] = 0;
        product[c] = 0;
    }
    for (std::int64_t piece = 0; piece < geometry.blocks * geometry.fold; ++piece) {
        const std::int64_t at = piece * geometry.channels;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
            sum[c] += sums[at + c];
            product[c] += products[at + c];
        }
    }
}

/// combine(segment, first channel, channels) over all channels of all segments.
template <typename Body>
void for_channels(const NormGeometry& geometry, const Body& body) {
    const std::int64_t chunks = divided_up(geometry.channels, column_chunk);
    parallel_blocks(geometry.segments * chunks, geometry.scratch() * 8, [&](std::int64_t task) {
        const std::int64_t first = task % chunks * column_chunk;
        body(task / chunks, first, std::min(column_chunk, geometry.channels - first));
    });
}

}  // namespace

NormGeometry::NormGeometry(std::int64_t segment_count, std::int64_t pixel_count, std::int64_t channel_count)
    : segments(segment_count), pixels(pixel_count), channels(channel_count) {
    fold = std::clamp<std::int64_t>(divided_up(narrowest, channels), 1, std::max<std::int64_t>(pixels, 1));
    columns = channels * fold;
    rows = pixels / fold;
    tail = (pixels - rows * fold) * channels;
    block_rows =
        std::max({fewest_block_rows, divided_up(block_elements, columns), divided_up(rows, most_blocks)});
    blocks = std::max<std::int64_t>(1, divided_up(rows, block_rows));
}

std::int64_t NormGeometry::rows_of(std::int64_t block) const {
    return std::min(rows, (block + 1) * block_rows) - block * block_rows;
}

void repeat_columns(const NormGeometry& geometry, float* values) {
    for (std::int64_t k = 1; k < geometry.fold; ++k) {
        std::copy_n(values, geometry.channels, values + k * geometry.channels);
    }
}

template <typename T>
void NormPasses<T>::moments(const NormGeometry& geometry, const T* x, double* scratch, double* mean,
                            double* squares) {
    double* const block_means = scratch;
    double* const block_squares = scratch + geometry.scratch() / 2;
    const std::int64_t bytes = geometry.elements() * static_cast<std::int64_t>(sizeof(T));
    for_blocks(geometry, bytes,
               [&](std::int64_t segment, std::int64_t block, std::int64_t first, std::int64_t columns) {
                   const std::int64_t at = (segment * geometry.blocks + block) * geometry.columns + first;
                   const T* from = x + segment * geometry.segment_elements() +
                                   block * geometry.block_rows * geometry.columns + first;
                   vectorised([&] {
                       column_moments(from, geometry.rows_of(block), geometry.columns, columns,
                                      tail_of(geometry, block, first, columns), block_means + at,
                                      block_squares + at);
                   });
               });
    for_channels(geometry, [&](std::int64_t segment, std::int64_t first, std::int64_t channels) {
        const std::int64_t from = segment * geometry.blocks * geometry.columns + first;
        const std::int64_t to = segment * geometry.channels + first;
        vectorised([&] {
            combine_moments(geometry, block_means + from, block_squares + from, channels, mean + to,
                            squares + to);
        });
    });
}

template <typename T>
void NormPasses<T>::normalise(const NormGeometry& geometry, const T* x, const T* added, Tail tail, T* y,
                              ForwardColumns forward) {
    const std::int64_t bytes = geometry.elements() * static_cast<std::int64_t>(sizeof(T)) * (added ? 3 : 2);
    const auto run = [&]<Tail fused, bool with_residual>() {
        for_rows(geometry, bytes,
                 [&](std::int64_t at, std::int64_t segment, std::int64_t rows, std::int64_t columns) {
                     const ForwardColumns here = moved(forward, segment * geometry.columns);
                     vectorised([&] {
                         normalise_rows<fused, with_residual>(x + at, with_residual ? added + at : nullptr,
                                                              y + at, rows, columns, here);
                     });
                 });
    };
    switch (tail) {
        case Tail::none:
            return added ? run.template operator()<Tail::none, true>()
                         : run.template operator()<Tail::none, false>();
        case Tail::relu:
            return added ? run.template operator()<Tail::relu, true>()
                         : run.template operator()<Tail::relu, false>();
        case Tail::silu:
            return run.template operator()<Tail::silu, false>();
    }
}

namespace {

/// run<terms, mask>() with the gradient's values as constants.
template <typename Run>
void with_constants(int terms, Mask mask, const Run& run) {
    switch (mask) {
        case Mask::none:
            return terms == 2 ? run.template operator()<2, Mask::none>()
                              : run.template operator()<1, Mask::none>();
        case Mask::recomputed:
            return terms == 2 ? run.template operator()<2, Mask::recomputed>()
                              : run.template operator()<1, Mask::recomputed>();
        case Mask::from_output:
            return terms == 2 ? run.template operator()<2, Mask::from_output>()
                              : run.template operator()<1, Mask::from_output>();
        case Mask::silu:
            return terms == 2 ? run.template operator()<2, Mask::silu>()
                              : run.template operator()<1, Mask::silu>();
    }
}

}  // namespace

template <typename T>
void NormPasses<T>::gradient_sums(const NormGeometry& geometry, const T* x, const NormGradient<T>& gradient,
                                  T* dz_out, ForwardColumns forward, double* scratch, double* sums,
                                  double* products) {
    double* const block_sums = scratch;
    double* const block_products = scratch + geometry.scratch() / 2;
    const std::int64_t streams =
        1 + gradient.terms + (gradient.mask == Mask::from_output) + (dz_out != nullptr);
    const std::int64_t bytes = geometry.elements() * static_cast<std::int64_t>(sizeof(T)) * streams;
    with_constants(gradient.terms, gradient.mask, [&]<int terms, Mask mask>() {
        for_blocks(
            geometry, bytes,
            [&](std::int64_t segment, std::int64_t block, std::int64_t first, std::int64_t columns) {
                const std::int64_t at = (segment * geometry.blocks + block) * geometry.columns + first;
                const std::int64_t from = segment * geometry.segment_elements() +
                                          block * geometry.block_rows * geometry.columns + first;
                const std::int64_t tail = tail_of(geometry, block, first, columns);
                const GradientSources<T> sources = moved(gradient.sources, from);
                const ForwardColumns here = moved(forward, segment * geometry.columns + first);
                vectorised([&] {
                    if (dz_out) {
                        column_gradients<terms, mask, true>(
                            x + from, sources, dz_out + from, geometry.rows_of(block), geometry.columns,
                            columns, tail, here, block_sums + at, block_products + at);
                    } else {
                        column_gradients<terms, mask, false>(
                            x + from, sources, static_cast<T*>(nullptr), geometry.rows_of(block),
                            geometry.columns, columns, tail, here, block_sums + at, block_products + at);
                    }
                });
            });
    });
    for_channels(geometry, [&](std::int64_t segment, std::int64_t first, std::int64_t channels) {
        const std::int64_t from = segment * geometry.blocks * geometry.columns + first;
        const std::int64_t to = segment * geometry.channels + first;
        vectorised([&] {
            combine_sums(geometry, block_sums + from, block_products + from, channels, sums + to,
                         products + to);
        });
    });
}

template <typename T>
void NormPasses<T>::input_gradients(const NormGeometry& geometry, const T* x, const NormGradient<T>& gradient,
                                    T* dx, ForwardColumns forward, BackwardColumns backward) {
    const std::int64_t streams = 2 + gradient.terms + (gradient.mask == Mask::from_output);
    const std::int64_t bytes = geometry.elements() * static_cast<std::int64_t>(sizeof(T)) * streams;
    with_constants(gradient.terms, gradient.mask, [&]<int terms, Mask mask>() {
        for_rows(geometry, bytes,
                 [&](std::int64_t at, std::int64_t segment, std::int64_t rows, std::int64_t columns) {
                     const std::int64_t by = segment * geometry.columns;
                     const ForwardColumns ahead = moved(forward, by);
                     const BackwardColumns back{backward.along_x + by, backward.constant + by};
                     const GradientSources<T> sources = moved(gradient.sources, at);
                     vectorised([&] {
                         input_gradient_rows<terms, mask>(x + at, sources, dx + at, rows, columns, ahead,
                                                          back);
                     });
                 });
    });
}

template struct NormPasses<float>;
template struct NormPasses<bfloat16>;

}  // namespace terrane::cpu
