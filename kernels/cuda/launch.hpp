#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/pack.hpp"
#include "cuda/queue.hpp"
#include "cuda/team.hpp"

/// Puts kernels in a queue. A kernel is a plain struct that is copied to the device and called there: with
/// the number of a work item, or with a team and the team's number. Compiled by nvcc this launches; compiled
/// by a host compiler (tests) every item and every thread runs at once on the host, in the given or in the
/// opposite order.
namespace terrane::cuda {

#ifdef __CUDACC__

/// Throws Error E0714 if the launch before failed.
void check_launch();

/// Blocks that must find room on a multiprocessor at once; the compiler keeps to the registers of that many.
/// A work says so where one block would leave memory waiting.
template <typename Work>
constexpr int least_blocks() {
    if constexpr (requires { Work::least_blocks; }) {
        return Work::least_blocks;
    } else {
        return 1;
    }
}

/// Work items beyond the grid's threads are taken in strides of the grid.
template <typename Work>
__global__ void __launch_bounds__(block_threads, least_blocks<Work>())
    run_items(std::int64_t items, const Work work) {
    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < items;
         item += stride) {
        work(item);
    }
}

template <typename Work>
__global__ void __launch_bounds__(block_threads, least_blocks<Work>())
    run_teams(std::int64_t teams, const Work work) {
    constexpr int per_block = block_threads / Work::threads;
    __shared__ typename Work::Shared shared[per_block];
    Team<Work::threads, typename Work::Shared> team{shared[threadIdx.x / Work::threads]};
    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * per_block;
    for (std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * per_block + threadIdx.x / Work::threads;
         index < teams; index += stride) {
        work(team, index);
    }
}

/// A grid that fills any device many times over.
inline unsigned grid_of(std::int64_t blocks) {
    return static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, 1 << 20));
}

#endif

/// Work: void operator()(std::int64_t item) const.
template <typename Work>
void launch(Queue queue, std::int64_t items, const Work& work) {
    if (items <= 0) return;
#ifdef __CUDACC__
    run_items<<<grid_of((items + block_threads - 1) / block_threads), block_threads, 0, queue.stream>>>(items,
                                                                                                        work);
    check_launch();
#else
    static_cast<void>(queue);
    for (std::int64_t item = 0; item < items; ++item) work(host_threads_descend ? items - 1 - item : item);
#endif
}

/// Work: threads (32 or 256), a type Shared, and void operator()(Team&, std::int64_t index) const.
template <typename Work>
void launch_teams(Queue queue, std::int64_t teams, const Work& work) {
    static_assert(Work::threads == warp_threads || Work::threads == block_threads);
    if (teams <= 0) return;
#ifdef __CUDACC__
    constexpr int per_block = block_threads / Work::threads;
    run_teams<<<grid_of((teams + per_block - 1) / per_block), block_threads, 0, queue.stream>>>(teams, work);
    check_launch();
#else
    static_cast<void>(queue);
    for (std::int64_t index = 0; index < teams; ++index) {
        typename Work::Shared shared;
        Team<Work::threads, typename Work::Shared> team{shared};
        work(team, host_threads_descend ? teams - 1 - index : index);
    }
#endif
}

/// A pass over `count` neighbouring elements: packs of `width`, and what is left over one by one.
/// Function: template <int width> void apply(std::int64_t first) const.
template <int width, typename Function>
struct Elementwise {
    Function function;
    std::int64_t count;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t packs = count / width;
        if (item < packs) {
            function.template apply<width>(item * width);
        } else {
            function.template apply<1>(packs * width + (item - packs));
        }
    }
};

/// T: the narrowest element type of the pass, which decides how many elements a pack holds.
template <typename T, typename Function>
void launch_elements(Queue queue, std::int64_t count, const Function& function) {
    constexpr int width = full_pack<T>;
    launch(queue, count / width + count % width, Elementwise<width, Function>{function, count});
}

/// A pass over rows of `columns` neighbouring elements: 16-byte packs where the columns fill them, one by one
/// where not. Function: template <int width> void apply(std::int64_t row, std::int64_t column) const.
template <int width, typename Function>
struct Rowwise {
    Function function;
    std::int64_t packs;  ///< per row

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t row = item / packs;
        function.template apply<width>(row, (item - row * packs) * width);
    }
};

template <typename T, typename Function>
void launch_rows(Queue queue, std::int64_t rows, std::int64_t columns, const Function& function) {
    constexpr int width = full_pack<T>;
    if (columns % width == 0) {
        launch(queue, rows * (columns / width), Rowwise<width, Function>{function, columns / width});
    } else {
        launch(queue, rows * columns, Rowwise<1, Function>{function, columns});
    }
}

/// The same pass over one or several matrices, for functions that need something of each column of each: a
/// thread reads that once, for a pack of columns, and takes several rows, two at a time, so that memory has
/// more to answer. Rows are counted through all matrices; the columns that of_columns is asked for, too.
/// Function: template <int width> auto of_columns(std::int64_t column) const; template <int width> auto
/// read(std::int64_t row, std::int64_t column) const, packs as they lie in memory; template <int width> void
/// apply(std::int64_t row, std::int64_t column, what was read, of_columns' result) const.
template <int width, typename Function>
struct Columnwise {
    static constexpr int least_blocks = 2;
    Function function;
    std::int64_t rows, columns, lanes;  ///< of a matrix; lanes: rows that are taken side by side

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t packs = columns / width, strip = item / packs;
        const std::int64_t column = (item - strip * packs) * width, matrix = strip / lanes;
        const auto own = function.template of_columns<width>(matrix * columns + column);
        const std::int64_t end = (matrix + 1) * rows;
        std::int64_t row = matrix * rows + strip - matrix * lanes;
        if constexpr (width > 1) {
            for (; row + lanes < end; row += 2 * lanes) {
                const auto first = function.template read<width>(row, column);
                const auto second = function.template read<width>(row + lanes, column);
                function.template apply<width>(row, column, first, own);
                function.template apply<width>(row + lanes, column, second, own);
            }
        }
        for (; row < end; row += lanes)
            function.template apply<width>(row, column, function.template read<width>(row, column), own);
    }
};

template <int width, typename Function>
void launch_columnwise(Queue queue, std::int64_t rows, std::int64_t columns, std::int64_t matrices,
                       const Function& function) {
    // Rows per thread: as many as leave threads enough to fill the device.
    constexpr std::int64_t threads_wanted = std::int64_t{1} << 17, most_rows = 32;
    const std::int64_t packs = columns / width;
    const std::int64_t each =
        std::clamp<std::int64_t>(matrices * rows * packs / threads_wanted, 1, most_rows);
    const std::int64_t lanes = (rows + each - 1) / each;
    launch(queue, matrices * lanes * packs, Columnwise<width, Function>{function, rows, columns, lanes});
}

/// `rows`: of each matrix.
template <typename T, typename Function>
void launch_columns(Queue queue, std::int64_t rows, std::int64_t columns, const Function& function,
                    std::int64_t matrices = 1) {
    constexpr int width = full_pack<T>;
    if (columns % width == 0) {
        launch_columnwise<width>(queue, rows, columns, matrices, function);
    } else {
        launch_columnwise<1>(queue, rows, columns, matrices, function);
    }
}

}  // namespace terrane::cuda
