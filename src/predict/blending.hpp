#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "predict/window_grid.hpp"

namespace terrane::predict {

/// One finished row of a block.
struct BlendedRow {
    std::int64_t row = 0;                    ///< in the scene
    std::span<const float> probabilities;    ///< [columns of the block, classes]
    std::span<const std::uint8_t> validity;  ///< [columns of the block]; 0: no modality has a value there
};

/// One window's contribution.
struct WindowResult {
    std::int64_t row = 0;  ///< origin in the scene
    std::int64_t column = 0;
    std::span<const float> row_shares;  ///< WindowAxis::shares of both axes
    std::span<const float> column_shares;
    std::span<const float> probabilities;    ///< [window, window, classes]
    std::span<const std::uint8_t> validity;  ///< [window, window]
};

/// Adds up the windows of a block of the scene while it passes from top to bottom, and hands out every row
/// when nothing can be added to it any more: it holds as many rows as a window has, whatever the block's
/// height. A pixel's sum is made of the same terms in the same order, whatever the block: results are equal
/// bit for bit for all ways to cut a scene into blocks.
class BlendAccumulator {
  public:
    using RowConsumer = std::function<void(const BlendedRow&)>;

    /// `rows` and `columns` are the block within the scene.
    BlendAccumulator(Range rows, Range columns, std::int64_t window, std::int64_t classes,
                     RowConsumer consumer);

    /// Adds a window, the part outside the block left out. Windows come row by row as in WindowGrid; those
    /// without a valid pixel may be left out.
    void add(const WindowResult& window);
    /// Hands out all rows above `row` (a row of the scene).
    void finish_above(std::int64_t row);
    /// Hands out the rest.
    void finish() { finish_above(rows_.end); }

    /// Bytes that an accumulator holds.
    static std::size_t bytes(std::int64_t width, std::int64_t window, std::int64_t classes);

  private:
    Range rows_;
    Range columns_;
    std::int64_t window_;
    std::int64_t classes_;
    RowConsumer consumer_;
    std::int64_t next_row_;    ///< the first row not handed out
    std::vector<float> sums_;  ///< [window, columns, classes], the scene's row r at r % window
    std::vector<std::uint8_t> validity_;
};

}  // namespace terrane::predict
