#pragma once

#include "cuda/launch.hpp"

/// Products of matrices that are read and written element by element, whatever they are made of: a thread has
/// a tile of the result in its registers. For what no vendor library takes; slow beside one.
namespace terrane::cuda {

/// Edge of a thread's tile.
inline constexpr int product_tile = 4;

/// out(i, j, sum over k of a(i, k) * b(k, j)). A, B: float operator()(row, column) const. Out: void
/// operator()(i, j, float) const, called once per element.
template <typename A, typename B, typename Out>
struct TileProduct {
    A a;
    B b;
    Out out;
    std::int64_t rows, columns, depth;
    const float* counts;  ///< per row; the sums of a tile whose rows all have 0 are 0. Null: all rows count

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t across = (columns + product_tile - 1) / product_tile;
        const std::int64_t first_row = item / across * product_tile;
        const std::int64_t first_column = item % across * product_tile;
        float sums[product_tile][product_tile] = {};
        for (std::int64_t k = 0; counted(first_row) && k < depth; ++k) {
            float left[product_tile], right[product_tile];
            for (int i = 0; i < product_tile; ++i)
                left[i] = first_row + i < rows ? a(first_row + i, k) : 0.0f;
            for (int j = 0; j < product_tile; ++j) {
                right[j] = first_column + j < columns ? b(k, first_column + j) : 0.0f;
            }
            for (int i = 0; i < product_tile; ++i) {
                for (int j = 0; j < product_tile; ++j) sums[i][j] += left[i] * right[j];
            }
        }
        for (int i = 0; i < product_tile && first_row + i < rows; ++i) {
            for (int j = 0; j < product_tile && first_column + j < columns; ++j) {
                out(first_row + i, first_column + j, sums[i][j]);
            }
        }
    }
    TERRANE_HOST_DEVICE bool counted(std::int64_t first_row) const {
        if (counts == nullptr) return true;
        for (std::int64_t i = first_row; i < first_row + product_tile && i < rows; ++i) {
            if (counts[i] != 0) return true;
        }
        return false;
    }
};

struct ProductSize {
    std::int64_t rows, columns, depth;
};

template <typename A, typename B, typename Out>
void launch_product(Queue queue, const ProductSize& size, const A& a, const B& b, const Out& out,
                    const float* counts = nullptr) {
    const std::int64_t tiles =
        ((size.rows + product_tile - 1) / product_tile) * ((size.columns + product_tile - 1) / product_tile);
    launch(queue, tiles, TileProduct<A, B, Out>{a, b, out, size.rows, size.columns, size.depth, counts});
}

}  // namespace terrane::cuda
