#include "graph/arena.hpp"

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "device/buffer.hpp"

namespace terrane::graph {

namespace {

std::size_t most_alive(const std::vector<Lifetime>& blocks) {
    int steps = 0;
    for (const Lifetime& block : blocks) steps = std::max(steps, block.last + 1);
    std::vector<std::int64_t> change(static_cast<std::size_t>(steps) + 1, 0);
    for (const Lifetime& block : blocks) {
        const auto bytes = static_cast<std::int64_t>(device::aligned(block.bytes));
        change[static_cast<std::size_t>(block.first)] += bytes;
        change[static_cast<std::size_t>(block.last) + 1] -= bytes;
    }
    std::int64_t alive = 0, most = 0;
    for (const std::int64_t step : change) {
        alive += step;
        most = std::max(most, alive);
    }
    return static_cast<std::size_t>(most);
}

}  // namespace

ArenaPlan plan_arena(const std::vector<Lifetime>& blocks) {
    ArenaPlan plan;
    plan.offsets.assign(blocks.size(), 0);
    plan.lower_bound = most_alive(blocks);

    std::vector<std::size_t> by_size(blocks.size());
    std::iota(by_size.begin(), by_size.end(), std::size_t{0});
    std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) {
        if (blocks[a].bytes != blocks[b].bytes) return blocks[a].bytes > blocks[b].bytes;
        return blocks[a].last - blocks[a].first > blocks[b].last - blocks[b].first;
    });

    std::vector<std::size_t> placed_by_offset;
    for (const std::size_t index : by_size) {
        const Lifetime& block = blocks[index];
        TERRANE_ASSERT(block.first <= block.last, "a block that ends before it begins");
        if (block.bytes == 0) continue;
        const std::size_t size = device::aligned(block.bytes);
        std::size_t offset = 0;
        for (const std::size_t other : placed_by_offset) {
            const bool apart = blocks[other].last < block.first || block.last < blocks[other].first;
            if (apart) continue;
            if (plan.offsets[other] >= offset + size) break;  // the gap before it is large enough
            offset = std::max(offset, plan.offsets[other] + device::aligned(blocks[other].bytes));
        }
        plan.offsets[index] = offset;
        plan.bytes = std::max(plan.bytes, offset + size);
        const auto position = std::upper_bound(
            placed_by_offset.begin(), placed_by_offset.end(), offset,
            [&](std::size_t value, std::size_t other) { return value < plan.offsets[other]; });
        placed_by_offset.insert(position, index);
    }
    return plan;
}

}  // namespace terrane::graph
