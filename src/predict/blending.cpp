#include "predict/blending.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace terrane::predict {

BlendAccumulator::BlendAccumulator(Range rows, Range columns, std::int64_t window, std::int64_t classes,
                                   RowConsumer consumer)
    : rows_(rows),
      columns_(columns),
      window_(window),
      classes_(classes),
      consumer_(std::move(consumer)),
      next_row_(rows.begin),
      sums_(static_cast<std::size_t>(window * columns.size() * classes), 0.0f),
      validity_(static_cast<std::size_t>(window * columns.size()), 0) {}

std::size_t BlendAccumulator::bytes(std::int64_t width, std::int64_t window, std::int64_t classes) {
    return static_cast<std::size_t>(window * width) *
           (static_cast<std::size_t>(classes) * sizeof(float) + sizeof(std::uint8_t));
}

void BlendAccumulator::add(const WindowResult& window) {
    TERRANE_ASSERT(window.probabilities.size() == static_cast<std::size_t>(window_ * window_ * classes_),
                   "a window has {} values", window.probabilities.size());
    finish_above(std::min(window.row, rows_.end));
    const Range rows{std::max(window.row, rows_.begin), std::min(window.row + window_, rows_.end)};
    const Range columns{std::max(window.column, columns_.begin),
                        std::min(window.column + window_, columns_.end)};
    if (rows.empty() || columns.empty()) return;
    TERRANE_ASSERT(rows.begin >= next_row_, "row {} has been handed out", rows.begin);

    // A team of threads costs more than it saves on small windows.
    const bool large = rows.size() * columns.size() * classes_ >= std::int64_t{1} << 18;
#pragma omp parallel for schedule(static) if (large)
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        const std::int64_t in_window = (row - window.row) * window_ + columns.begin - window.column;
        const std::int64_t in_block = (row % window_) * columns_.size() + columns.begin - columns_.begin;
        const float row_share = window.row_shares[static_cast<std::size_t>(row - window.row)];
        const float* column_share = window.column_shares.data() + (columns.begin - window.column);
        const float* probability = window.probabilities.data() + in_window * classes_;
        float* sum = sums_.data() + in_block * classes_;
        for (std::int64_t x = 0; x < columns.size(); ++x) {
            const float share = row_share * column_share[x];
            for (std::int64_t c = 0; c < classes_; ++c) sum[c] += share * probability[c];
            probability += classes_;
            sum += classes_;
        }
        const std::uint8_t* valid = window.validity.data() + in_window;
        std::uint8_t* kept = validity_.data() + in_block;
        for (std::int64_t x = 0; x < columns.size(); ++x) kept[x] |= valid[x];
    }
}

void BlendAccumulator::finish_above(std::int64_t row) {
    const std::int64_t width = columns_.size();
    for (; next_row_ < row; ++next_row_) {
        const auto first = static_cast<std::size_t>((next_row_ % window_) * width);
        const std::span<float> sums{sums_.data() + first * static_cast<std::size_t>(classes_),
                                    static_cast<std::size_t>(width * classes_)};
        const std::span<std::uint8_t> validity{validity_.data() + first, static_cast<std::size_t>(width)};
        consumer_({next_row_, sums, validity});
        std::ranges::fill(sums, 0.0f);
        std::ranges::fill(validity, std::uint8_t{0});
    }
}

}  // namespace terrane::predict
