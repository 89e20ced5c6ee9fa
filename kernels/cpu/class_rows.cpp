#include "cpu/class_rows.hpp"

#include <algorithm>

namespace terrane::cpu {
namespace {

/// A block with gradients computes the rows at its borders once more than needed: not worth it for fewer.
constexpr std::int64_t fewest_rows_with_gradient = 4;

}  // namespace

ClassRows::ClassRows(const Shape& logits, std::int64_t height, std::int64_t width, ops::Corners corners,
                     RowGradient gradient, std::int64_t most_blocks)
    : batch_(logits.batch()),
      classes_(logits.channels()),
      rows_(logits.height(), height, corners),
      columns_(logits.width(), width, corners) {
    const std::int64_t sources = columns_.sources;
    const std::int64_t per_sample = std::max<std::int64_t>(1, most_blocks / batch_);
    block_rows_ = std::max<std::int64_t>((rows_.sources + per_sample - 1) / per_sample,
                                         gradient == RowGradient::yes ? fewest_rows_with_gradient : 1);
    sample_blocks_ = (rows_.sources + block_rows_ - 1) / block_rows_;
    blocks_ = batch_ * sample_blocks_;

    for (std::int64_t i = 0, y = 0; i <= rows_.sources; ++i) {
        while (y < height && rows_.taps()[y].index0 < i) ++y;
        owned_.push_back(i == rows_.sources ? height : y);
    }
    for (std::int64_t x = 0; x < width; ++x) {
        const formulas::Tap<float>& tap = columns_.taps()[x];
        left_.push_back(static_cast<std::int32_t>(tap.index0 * classes_));
        right_.push_back(static_cast<std::int32_t>(tap.index1 * classes_));
        left_weight_.push_back(tap.weight0);
        right_weight_.push_back(tap.weight1);
    }
    if (gradient == RowGradient::yes) {
        for (std::int64_t j = 0; j < sources; ++j) {
            most_readers_ = std::max(most_readers_, columns_.end(j) - columns_.begin(j));
        }
        reader_weight_.assign(static_cast<std::size_t>(most_readers_ * sources), 0.0f);
        for (std::int64_t j = 0; j < sources; ++j) {
            // Begins early enough for `most_readers_` places to lie inside the row.
            const std::int64_t first = std::min(columns_.begin(j), width - most_readers_);
            first_reader_.push_back(static_cast<std::int32_t>(first));
            for (std::int64_t x = columns_.begin(j); x < columns_.end(j); ++x) {
                reader_weight_[static_cast<std::size_t>((x - first) * sources + j)] = columns_.weight(j, x);
            }
        }
    }
    block_scratch_ = sources * classes_ + classes_ * width + 5 * width;
    if (gradient == RowGradient::yes) block_scratch_ += (1 + block_rows_) * sources * classes_;
    block_scratch_ = (block_scratch_ + 15) / 16 * 16;
}

ClassRows::Block ClassRows::block_at(std::int64_t index, float* scratch) const {
    Block block{};
    block.index = index;
    block.sample = index / sample_blocks_;
    block.source_begin = index % sample_blocks_ * block_rows_;
    block.source_end = std::min(rows_.sources, block.source_begin + block_rows_);
    block.owned_begin = owned_[static_cast<std::size_t>(block.source_begin)];
    block.owned_end = owned_[static_cast<std::size_t>(block.source_end)];
    block.begin = rows_.targets;
    for (std::int64_t i = block.source_begin; i < block.source_end; ++i) {
        if (rows_.begin(i) >= rows_.end(i)) continue;
        block.begin = std::min(block.begin, rows_.begin(i));
        block.end = std::max(block.end, rows_.end(i));
    }
    block.begin = std::min(block.begin, block.owned_begin);
    block.end = std::max(block.end, block.owned_end);
    const std::int64_t row_elements = columns_.sources * classes_;
    block.between = scratch + index * block_scratch_;
    block.planes = block.between + row_elements;
    block.extra = block.planes + classes_ * columns_.targets;
    block.reduced = block.extra + 5 * columns_.targets;
    block.sums = block.reduced + row_elements;
    return block;
}

std::int64_t ClassRows::bytes() const {
    // Exponentials weigh about as much as sixteen bytes of traffic each.
    return batch_ * height() * width() * classes_ * 16;
}

}  // namespace terrane::cpu
