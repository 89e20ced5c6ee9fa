#pragma once

#include "cuda/divisor.hpp"
#include "cuda/launch.hpp"

namespace terrane::cuda {

/// A pass over maps [batch, rows, columns, channels]. What a pixel's channels have in common is found once
/// per thread, which takes one or several packs of channels. Function: Site at(int n, int row, int column)
/// const; template <int width> void apply(const Site&, int channel) const.
template <int width, typename Function>
struct MapPass {
    Function function;
    Divisor lanes;  ///< threads per pixel
    Divisor columns, rows;
    int packs;       ///< per pixel
    int first_line;  ///< a line is a row of a sample

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const int thread = static_cast<int>(item), pixel = thread / lanes;
        const int lines = pixel / columns, line = first_line + lines, n = line / rows;
        const auto site = function.at(n, line - n * rows, pixel - lines * columns);
        for (int pack = thread - pixel * lanes; pack < packs; pack += lanes) {
            function.template apply<width>(site, pack * width);
        }
    }
};

template <int width, typename Function>
void launch_map_packs(Queue queue, std::int64_t batch, std::int64_t rows, std::int64_t columns,
                      std::int64_t packs, const Function& function) {
    // A thread takes more than one pack where there are threads enough to fill a device all the same.
    constexpr std::int64_t enough_threads = 1 << 20, most_items = (std::int64_t{1} << 31) - 1;
    const std::int64_t lines = batch * rows;
    if (lines * columns * packs == 0) return;
    const std::int64_t rounds = std::clamp<std::int64_t>(lines * columns * packs / enough_threads, 1, 8);
    const std::int64_t lanes =
        std::max((packs + rounds - 1) / rounds, std::min<std::int64_t>(packs, warp_threads));
    const std::int64_t most_lines = std::max<std::int64_t>(1, most_items / (columns * lanes));
    for (std::int64_t first = 0; first < lines; first += most_lines) {
        launch(queue, std::min(most_lines, lines - first) * columns * lanes,
               MapPass<width, Function>{function, Divisor(lanes), Divisor(columns), Divisor(rows),
                                        static_cast<int>(packs), static_cast<int>(first)});
    }
}

/// T: the narrowest element type of the pass, of which a pack holds 16 bytes where the channels fill packs.
template <typename T, typename Function>
void launch_maps(Queue queue, std::int64_t batch, std::int64_t rows, std::int64_t columns,
                 std::int64_t channels, const Function& function) {
    constexpr int width = full_pack<T>;
    if (channels % width == 0) {
        launch_map_packs<width>(queue, batch, rows, columns, channels / width, function);
    } else {
        launch_map_packs<1>(queue, batch, rows, columns, channels, function);
    }
}

}  // namespace terrane::cuda
