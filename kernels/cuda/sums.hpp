#pragma once

#include <utility>

#include "cuda/launch.hpp"

/// Sums over many elements in two stages and a fixed order, in double: bits do not depend on which block ran
/// first.
namespace terrane::cuda {

/// How the items of each of several sums are cut into chunks, a team each.
struct SumGeometry {
    std::int64_t groups = 1;
    std::int64_t items = 1;  ///< of each group
    std::int64_t chunks = 1;
    std::int64_t chunk_items = 1;

    SumGeometry() = default;
    SumGeometry(std::int64_t group_count, std::int64_t item_count) : groups(group_count), items(item_count) {
        constexpr std::int64_t teams = 1056;  // 8 blocks for each of 132 multiprocessors
        const std::int64_t wanted = std::max<std::int64_t>(1, teams / std::max<std::int64_t>(groups, 1));
        chunks = std::clamp<std::int64_t>((items + 4 * block_threads - 1) / (4 * block_threads), 1, wanted);
        chunk_items = (items + chunks - 1) / chunks;
    }
    /// Whether a warp takes a whole group, without partial sums.
    bool is_small() const { return items <= 16 * warp_threads && groups > 1; }
    /// Workspace for `sums` sums per group.
    std::size_t bytes(int sums) const {
        return is_small() ? 0 : static_cast<std::size_t>(groups * chunks * sums) * sizeof(double);
    }
};

/// Work: `sums`, void add(group, item, double (&sums)[k]) const, void finish(group, const double (&sums)[k])
/// const.
template <typename Work>
struct SumChunk {
    static constexpr int threads = block_threads;
    static constexpr int sums = Work::sums;
    struct Shared {
        double values[sums][block_threads];
    };
    Work work;
    SumGeometry g;
    double* partials;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const std::int64_t group = index / g.chunks, begin = index % g.chunks * g.chunk_items;
        const std::int64_t end = begin + g.chunk_items < g.items ? begin + g.chunk_items : g.items;
        team.each([&](int thread) {
            double own[sums] = {};
            for (std::int64_t item = begin + thread; item < end; item += threads) work.add(group, item, own);
            for (int s = 0; s < sums; ++s) team.shared.values[s][thread] = own[s];
        });
        for (int s = 0; s < sums; ++s) team.sum(team.shared.values[s]);
        team.each([&](int thread) {
            if (thread < sums) partials[index * sums + thread] = team.shared.values[thread][0];
        });
    }
};

/// Where the partial sum s of a chunk of a group lies: group * `group` + chunk * `chunk` + s * `sum` doubles
/// from the beginning.
struct PartialStrides {
    std::int64_t group, chunk, sum;
};

/// The second stage: a team adds up the partial sums of a group.
template <int team_threads, typename Work>
struct SumFinish {
    static constexpr int threads = team_threads;
    static constexpr int sums = Work::sums;
    struct Shared {
        double values[sums][team_threads];
    };
    Work work;
    std::int64_t chunks;
    PartialStrides strides;
    const double* partials;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t group) const {
        team.each([&](int thread) {
            for (int s = 0; s < sums; ++s) {
                double own = 0;
                for (std::int64_t chunk = thread; chunk < chunks; chunk += threads) {
                    own += partials[group * strides.group + chunk * strides.chunk + s * strides.sum];
                }
                team.shared.values[s][thread] = own;
            }
        });
        for (int s = 0; s < sums; ++s) team.sum(team.shared.values[s]);
        team.each([&](int thread) {
            if (thread != 0) return;
            double total[sums];
            for (int s = 0; s < sums; ++s) total[s] = team.shared.values[s][0];
            work.finish(group, total);
        });
    }
};

/// A warp for each group, or a block where there is much to add up.
template <typename Work>
void launch_finish(Queue queue, std::int64_t groups, std::int64_t chunks, const PartialStrides& strides,
                   const double* partials, const Work& work) {
    if (chunks > 4 * warp_threads) {
        launch_teams(queue, groups, SumFinish<block_threads, Work>{work, chunks, strides, partials});
    } else {
        launch_teams(queue, groups, SumFinish<warp_threads, Work>{work, chunks, strides, partials});
    }
}

/// A whole group by one warp, where groups are small.
template <typename Work>
struct SmallSum {
    static constexpr int threads = warp_threads;
    static constexpr int sums = Work::sums;
    struct Shared {
        double values[sums][warp_threads];
    };
    Work work;
    std::int64_t items;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t group) const {
        team.each([&](int thread) {
            double own[sums] = {};
            for (std::int64_t item = thread; item < items; item += threads) work.add(group, item, own);
            for (int s = 0; s < sums; ++s) team.shared.values[s][thread] = own[s];
        });
        for (int s = 0; s < sums; ++s) team.sum(team.shared.values[s]);
        team.each([&](int thread) {
            if (thread != 0) return;
            double total[sums];
            for (int s = 0; s < sums; ++s) total[s] = team.shared.values[s][0];
            work.finish(group, total);
        });
    }
};

template <typename Work>
void launch_sums(Queue queue, const SumGeometry& g, double* partials, const Work& work) {
    if (g.is_small()) return launch_teams(queue, g.groups, SmallSum<Work>{work, g.items});
    launch_teams(queue, g.groups * g.chunks, SumChunk<Work>{work, g, partials});
    launch_finish(queue, g.groups, g.chunks, {g.chunks * Work::sums, Work::sums, 1}, partials, work);
}

/// Sums down the columns of one or several matrices of `rows` rows: tiles of columns times chunks of rows, a
/// team each. Within a team `lanes` threads stand side by side on a row, each with a few neighbouring
/// columns.
struct ColumnGeometry {
    std::int64_t rows = 1, columns = 1;  ///< of a matrix
    std::int64_t matrices = 1;
    int width = 1;  ///< columns per thread: 4, or 1 where 4 does not divide the columns
    int lanes = 1;
    std::int64_t tiles = 1, chunks = 1, chunk_rows = 1;  ///< of a matrix

    ColumnGeometry() = default;
    ColumnGeometry(std::int64_t row_count, std::int64_t column_count, std::int64_t matrix_count = 1)
        : rows(row_count), columns(column_count), matrices(matrix_count) {
        constexpr std::int64_t teams = 1056;
        width = columns % 4 == 0 ? 4 : 1;
        const std::int64_t packs = columns / width;
        while (lanes < warp_threads && lanes < packs) lanes *= 2;
        tiles = (packs + lanes - 1) / lanes;
        const std::int64_t least_rows = 4 * (block_threads / lanes);
        chunks = std::clamp<std::int64_t>((rows + least_rows - 1) / least_rows, 1,
                                          std::max<std::int64_t>(1, teams / (tiles * matrices)));
        chunk_rows = (rows + chunks - 1) / chunks;
    }
    TERRANE_HOST_DEVICE std::int64_t all_columns() const { return matrices * columns; }
    std::size_t bytes(int sums) const {
        return static_cast<std::size_t>(chunks * all_columns() * sums) * sizeof(double);
    }
};

/// What works get that read nothing once for a pack of columns.
struct NoColumns {};

template <int width, typename Work>
TERRANE_HOST_DEVICE inline auto read_columns(const Work& work, std::int64_t column) {
    if constexpr (requires { work.template of_columns<width>(column); }) {
        return work.template of_columns<width>(column);
    } else {
        return NoColumns{};
    }
}

/// Work: `sums`; template <int width> auto read(row, column) const, a pack of a row as it lies in memory;
/// template <int width> void add(row, column, what was read, columns, double (&sums)[k][width]) const; void
/// finish(column, const double (&sums)[k]) const. `columns` is what template <int width> auto
/// of_columns(column) const gives, where there is one, else NoColumns. Rows are counted through all matrices;
/// columns, too, in finish and of_columns. A thread reads several rows before it looks at the first: memory
/// is slow to answer, and fast if it is asked for much at a time.
template <int width, typename Work>
struct ColumnChunk {
    static constexpr int threads = block_threads, least_blocks = 2;
    static constexpr int sums = Work::sums;
    struct Shared {
        double values[sums * width][block_threads];
    };
    Work work;
    ColumnGeometry g;
    double* partials;

    using Row = decltype(std::declval<const Work&>().template read<width>(0, 0));
    /// Rows that a thread reads at a time. Channels that don't fill a pack are rare: small code for them.
    static constexpr int at_once = width == 1 ? 1 : sizeof(Row) <= 16 ? 4 : sizeof(Row) <= 32 ? 3 : 2;

    template <int count, typename Columns>
    TERRANE_HOST_DEVICE void add_rows(std::int64_t row, int step, std::int64_t column, const Columns& columns,
                                      double (&own)[sums][width]) const {
        Row rows[count];
        TERRANE_UNROLL
        for (int i = 0; i < count; ++i) rows[i] = work.template read<width>(row + i * step, column);
        TERRANE_UNROLL
        for (int i = 0; i < count; ++i)
            work.template add<width>(row + i * step, column, rows[i], columns, own);
    }
    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const std::int64_t strip = index / g.tiles, first_pack = (index - strip * g.tiles) * g.lanes;
        const std::int64_t matrix = strip / g.chunks, chunk = strip - matrix * g.chunks;
        const std::int64_t begin = chunk * g.chunk_rows;
        const std::int64_t end = begin + g.chunk_rows < g.rows ? begin + g.chunk_rows : g.rows;
        const int row_lanes = threads / g.lanes;
        team.each([&](int thread) {
            const std::int64_t column = (first_pack + thread % g.lanes) * width;
            double own[sums][width] = {};
            if (column < g.columns) {
                const auto columns = read_columns<width>(work, matrix * g.columns + column);
                std::int64_t row = matrix * g.rows + begin + thread / g.lanes;
                if constexpr (at_once > 1) {
                    for (; row + (at_once - 1) * row_lanes < matrix * g.rows + end;
                         row += at_once * row_lanes)
                        add_rows<at_once>(row, row_lanes, column, columns, own);
                }
                for (; row < matrix * g.rows + end; row += row_lanes)
                    add_rows<1>(row, row_lanes, column, columns, own);
            }
            for (int v = 0; v < sums * width; ++v) team.shared.values[v][thread] = own[v / width][v % width];
        });
        for (int half = row_lanes / 2; half > 0; half /= 2) {
            team.each([&](int thread) {
                if (thread >= half * g.lanes) return;
                for (auto& values : team.shared.values) values[thread] += values[thread + half * g.lanes];
            });
        }
        team.each([&](int thread) {
            const std::int64_t column = (first_pack + thread) * width;
            if (thread >= g.lanes || column >= g.columns) return;
            for (int v = 0; v < sums * width; ++v) {
                partials[(chunk * sums + v / width) * g.all_columns() + matrix * g.columns + column +
                         v % width] = team.shared.values[v][thread];
            }
        });
    }
};

template <typename Work>
void launch_column_sums(Queue queue, const ColumnGeometry& g, double* partials, const Work& work) {
    const std::int64_t teams = g.matrices * g.chunks * g.tiles;
    if (g.width == 4) {
        launch_teams(queue, teams, ColumnChunk<4, Work>{work, g, partials});
    } else {
        launch_teams(queue, teams, ColumnChunk<1, Work>{work, g, partials});
    }
    launch_finish(queue, g.all_columns(), g.chunks, {1, Work::sums * g.all_columns(), g.all_columns()},
                  partials, work);
}

}  // namespace terrane::cuda
