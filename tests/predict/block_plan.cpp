#include "predict/block_plan.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane::predict;
using terrane::DType;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;

const std::vector<SourceModality> modalities{{"optical", DType::u8, 4, 1}, {"height", DType::f32, 1, 2}};

WindowGrid square(std::int64_t length, std::int64_t window = 256, std::int64_t stride = 128) {
    const WindowAxis axis({length, window, stride, 2, Blend::hann});
    return {axis, axis};
}

MemoryNeeds needs_of(std::size_t budget_mb) {
    return {.budget = budget_mb * megabyte,
            .process = 80 * megabyte,
            .network = 100 * megabyte,
            .raster_cache = 64 * megabyte,
            .output_row = 64,
            .batch = 4};
}

/// Every pixel of the scene lies in exactly one block.
bool tiles_exactly(const BlockPlan& plan, std::int64_t length) {
    std::int64_t area = 0;
    for (std::size_t i = 0; i < plan.blocks.size(); ++i) {
        const Block& a = plan.blocks[i];
        if (a.rows.begin < 0 || a.rows.end > length || a.columns.begin < 0 || a.columns.end > length)
            return false;
        area += a.rows.size() * a.columns.size();
        for (std::size_t j = 0; j < i; ++j) {
            const Block& b = plan.blocks[j];
            if (a.rows.begin < b.rows.end && b.rows.begin < a.rows.end && a.columns.begin < b.columns.end &&
                b.columns.begin < a.columns.end) {
                return false;
            }
        }
    }
    return area == length * length;
}

}  // namespace

TEST_CASE("blocks cover a scene exactly, within the budget, for any ranks") {
    for (const std::int64_t length : {1, 100, 257, 2048, 3001, 20000}) {
        for (const int ranks : {1, 2, 3, 4, 7}) {
            const BlockPlan plan = plan_blocks(square(length), modalities, 8, ranks, needs_of(900));
            CHECK(tiles_exactly(plan, length));
            CHECK(plan.bytes() <= 900 * megabyte);
        }
    }
}

TEST_CASE("a scene of 40 000 squared fits into 800 MB per rank and computes few windows twice") {
    const WindowGrid grid = square(40000);
    for (const int ranks : {1, 2, 3, 4, 16}) {
        const BlockPlan plan = plan_blocks(grid, modalities, 8, ranks, needs_of(800));
        CHECK(tiles_exactly(plan, 40000));
        CHECK(plan.bytes() <= 800 * megabyte);
        CHECK(static_cast<double>(plan.windows) < 1.15 * static_cast<double>(grid.count()));
    }
}

TEST_CASE("one rank with memory enough gets one block and computes no window twice") {
    const WindowGrid grid = square(5000);
    const BlockPlan plan = plan_blocks(grid, modalities, 8, 1, needs_of(4000));
    CHECK(plan.blocks.size() == 1);
    CHECK(plan.windows == grid.count());
}

TEST_CASE("the work of the busiest rank shrinks with the number of ranks") {
    const WindowGrid grid = square(6000);
    const auto busiest = [&](int ranks) {
        const BlockPlan plan = plan_blocks(grid, modalities, 8, ranks, needs_of(1000));
        std::vector<std::int64_t> work(static_cast<std::size_t>(ranks), 0);
        for (std::size_t b = 0; b < plan.blocks.size(); ++b) {
            work[b % work.size()] += grid.rows.windows_of(plan.blocks[b].rows).size() *
                                     grid.columns.windows_of(plan.blocks[b].columns).size();
        }
        return static_cast<double>(*std::ranges::max_element(work));
    };
    const double alone = busiest(1);
    for (const int ranks : {2, 3, 4}) CHECK(busiest(ranks) < 1.15 * alone / ranks);
}

TEST_CASE("a budget too small for the narrowest block is refused with the sum that it would need") {
    CHECK_THROWS_WITH(plan_blocks(square(20000), modalities, 8, 1, needs_of(200)),
                      terrane::test::contains("together") && terrane::test::contains("200 MB"));
}
