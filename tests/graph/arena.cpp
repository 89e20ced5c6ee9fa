#include "graph/arena.hpp"

#include "base/philox.hpp"
#include "device/buffer.hpp"
#include "support/catch.hpp"

using terrane::graph::ArenaPlan;
using terrane::graph::Lifetime;
using terrane::graph::plan_arena;

namespace {

bool share_a_step(const Lifetime& a, const Lifetime& b) {
    return a.first <= b.last && b.first <= a.last;
}

void check_plan(const std::vector<Lifetime>& blocks, const ArenaPlan& plan) {
    REQUIRE(plan.offsets.size() == blocks.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        REQUIRE(plan.offsets[i] % terrane::device::alignment == 0);
        REQUIRE(plan.offsets[i] + blocks[i].bytes <= plan.bytes);
        for (std::size_t j = i + 1; j < blocks.size(); ++j) {
            if (!share_a_step(blocks[i], blocks[j]) || blocks[i].bytes == 0 || blocks[j].bytes == 0) continue;
            const bool apart = plan.offsets[i] + blocks[i].bytes <= plan.offsets[j] ||
                               plan.offsets[j] + blocks[j].bytes <= plan.offsets[i];
            REQUIRE(apart);
        }
    }
    REQUIRE(plan.bytes >= plan.lower_bound);
}

}  // namespace

TEST_CASE("blocks that live at the same time never overlap, over random programs", "[graph]") {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        terrane::PhiloxStream random(seed, 1);
        std::vector<Lifetime> blocks(2 + random.below(120));
        for (Lifetime& block : blocks) {
            block.bytes = random.below(10) == 0 ? 0 : 1 + random.below(100000);
            block.first = static_cast<int>(random.below(50));
            block.last = block.first + static_cast<int>(random.below(20));
        }
        CAPTURE(seed);
        check_plan(blocks, plan_arena(blocks));
    }
}

TEST_CASE("blocks whose lives are apart share their memory", "[graph]") {
    const std::vector<Lifetime> blocks{{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 9}};
    const ArenaPlan plan = plan_arena(blocks);
    CHECK(plan.bytes == terrane::device::aligned(1000));
    CHECK(plan.bytes == plan.lower_bound);
}

TEST_CASE("a training-shaped program is planned at its lower bound", "[graph]") {
    // Activations that live from forward step i to backward step 2n - i nest like brackets.
    std::vector<Lifetime> blocks;
    const int depth = 30;
    for (int i = 0; i < depth; ++i)
        blocks.push_back({static_cast<std::size_t>(4096 * (1 + i % 5)), i, 2 * depth - i});
    const ArenaPlan plan = plan_arena(blocks);
    check_plan(blocks, plan);
    CHECK(plan.bytes == plan.lower_bound);
}

TEST_CASE("the plan is a function of its input only", "[graph]") {
    const std::vector<Lifetime> blocks{{64, 0, 5}, {128, 1, 2}, {64, 2, 8}, {256, 0, 1}, {128, 3, 4}};
    CHECK(plan_arena(blocks).offsets == plan_arena(blocks).offsets);
}
