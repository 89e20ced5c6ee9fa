#include "predict/block_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.hpp"
#include "predict/blending.hpp"

namespace terrane::predict {

namespace {

/// What the aligned reader and the resampling hold per pixel that they are asked for at once: planar copies
/// of the source and of the target in our memory and in the warper's, masks and weights.
std::size_t reading_bytes(const std::vector<SourceModality>& modalities) {
    std::size_t most = 0;
    for (const SourceModality& modality : modalities) {
        const auto pixels =
            static_cast<std::size_t>(WindowFeeder::most_pixels_at_once / modality.scale / modality.scale);
        most = std::max(most, pixels * (6 * modality.pixel_bytes() + 24));
    }
    return most;
}

/// Cuts an axis into `parts` nearly equal ranges whose inner edges are multiples of the stride.
std::vector<Range> cut(const WindowAxis& axis, std::int64_t parts) {
    const std::int64_t length = axis.layout().length;
    const std::int64_t stride = axis.layout().stride;
    const std::int64_t strides = (length + stride - 1) / stride;
    std::vector<Range> ranges;
    for (std::int64_t p = 0; p < parts; ++p) {
        const std::int64_t begin = std::min(strides * p / parts * stride, length);
        const std::int64_t end = std::min(strides * (p + 1) / parts * stride, length);
        if (begin < end) ranges.push_back({begin, end});
    }
    return ranges;
}

std::int64_t most_parts(const WindowAxis& axis) {
    return (axis.layout().length + axis.layout().stride - 1) / axis.layout().stride;
}

std::int64_t windows_in(const WindowGrid& grid, const Block& block) {
    return grid.rows.windows_of(block.rows).size() * grid.columns.windows_of(block.columns).size();
}

std::size_t total(const std::vector<MemoryItem>& items) {
    std::size_t sum = 0;
    for (const MemoryItem& item : items) sum += item.bytes;
    return sum;
}

std::vector<MemoryItem> memory_of(const WindowGrid& grid, const std::vector<SourceModality>& modalities,
                                  std::int64_t classes, const MemoryNeeds& needs, Range columns) {
    const std::int64_t window = grid.rows.layout().window;
    const auto width = static_cast<std::size_t>(columns.size());
    std::vector<MemoryItem> passing{{"reading", reading_bytes(modalities)},
                                    {"windows", WindowBatch::bytes(modalities, window, needs.batch) *
                                                    static_cast<std::size_t>(needs.batches_ahead)},
                                    {"input rows", WindowFeeder::row_bytes(modalities, grid, columns)},
                                    {"blending", BlendAccumulator::bytes(columns.size(), window, classes)},
                                    {"output rows", width * needs.output_row}};
    std::vector<MemoryItem> items{
        {"process", needs.process}, {"network", needs.network}, {"raster cache", needs.raster_cache}};
    const std::size_t computing = total(passing);
    items.insert(items.end(), passing.begin(), passing.end());
    // When the map is put together the scene has passed, and its memory is free again.
    if (needs.assembly > computing) items.push_back({"putting together", needs.assembly - computing});
    return items;
}

constexpr double megabyte = 1024 * 1024;

std::string text_of(const std::vector<MemoryItem>& items) {
    std::string text;
    for (const MemoryItem& item : items) {
        text += fmt::format("{}{} {:.0f}", text.empty() ? "" : ", ", item.what,
                            static_cast<double>(item.bytes) / megabyte);
    }
    return text + fmt::format("; together {:.0f} MB", static_cast<double>(total(items)) / megabyte);
}

/// The windows of the rank with most of them.
std::int64_t longest_work(const WindowGrid& grid, const std::vector<Block>& blocks, int ranks) {
    std::vector<std::int64_t> work(static_cast<std::size_t>(ranks), 0);
    for (std::size_t b = 0; b < blocks.size(); ++b)
        work[b % static_cast<std::size_t>(ranks)] += windows_in(grid, blocks[b]);
    return *std::ranges::max_element(work);
}

std::vector<Block> all_blocks(const std::vector<Range>& strips, const std::vector<Range>& stripes) {
    std::vector<Block> blocks;
    for (const Range& columns : strips) {
        for (const Range& rows : stripes) blocks.push_back({rows, columns});
    }
    return blocks;
}

}  // namespace

std::size_t BlockPlan::bytes() const {
    return total(memory);
}

std::string BlockPlan::memory_text() const {
    return text_of(memory);
}

BlockPlan plan_blocks(const WindowGrid& grid, const std::vector<SourceModality>& modalities,
                      std::int64_t classes, int ranks, const MemoryNeeds& needs) {
    BlockPlan plan;
    std::vector<Range> strips;
    for (std::int64_t parts = 1; parts <= most_parts(grid.columns); ++parts) {
        strips = cut(grid.columns, parts);
        plan.memory.clear();
        for (const Range& columns : strips) {
            std::vector<MemoryItem> memory = memory_of(grid, modalities, classes, needs, columns);
            if (total(memory) > plan.bytes()) plan.memory = std::move(memory);
        }
        if (plan.bytes() <= needs.budget) break;
    }
    if (plan.bytes() > needs.budget) {
        throw Error(
            ExitCode::device_unavailable, 750,
            fmt::format("one block of the scene, {} pixels wide, needs more memory than the {:.0f} MB a rank "
                        "may use: {}.",
                        strips[0].size(), static_cast<double>(needs.budget) / megabyte, plan.memory_text()),
            "Raise --ram, lower predict.batch or predict.window, or use fewer ranks per node.");
    }
    // A rank's work is what decides: more stripes balance better but compute more windows twice.
    std::int64_t best = std::numeric_limits<std::int64_t>::max();
    const std::int64_t most = std::min<std::int64_t>(most_parts(grid.rows), 4 * std::int64_t{ranks});
    for (std::int64_t parts = 1; parts <= most; ++parts) {
        std::vector<Block> blocks = all_blocks(strips, cut(grid.rows, parts));
        const std::int64_t work = longest_work(grid, blocks, ranks);
        if (work < best) {
            best = work;
            plan.blocks = std::move(blocks);
        }
    }
    for (const Block& block : plan.blocks) plan.windows += windows_in(grid, block);
    return plan;
}

}  // namespace terrane::predict
