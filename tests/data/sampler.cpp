#include "data/sampler.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include "data/permutation.hpp"
#include "data/sample_order.hpp"
#include "support/catch.hpp"
#include "support/synthetic_source.hpp"

using namespace terrane;

TEST_CASE("a permutation visits everything once, and which it is depends on the key") {
    for (const std::int64_t size : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4097}) {
        std::set<std::int64_t> seen;
        const data::Permutation permutation(42, size);
        for (std::int64_t i = 0; i < size; ++i) {
            const std::int64_t value = permutation(i);
            CHECK((value >= 0 && value < size));
            seen.insert(value);
        }
        CHECK(static_cast<std::int64_t>(seen.size()) == size);
    }
    int equal = 0;
    for (std::int64_t i = 0; i < 1000; ++i)
        equal += data::Permutation(1, 1000)(i) == data::Permutation(2, 1000)(i);
    CHECK(equal < 10);
}

TEST_CASE("over many keys every element is equally likely in every place") {
    constexpr std::int64_t size = 10;
    constexpr int draws = 20000;
    int counts[size][size] = {};
    for (std::uint64_t key = 0; key < draws; ++key) {
        const data::Permutation permutation(Philox::draw(9, 0, key)[0], size);
        for (std::int64_t i = 0; i < size; ++i) ++counts[i][permutation(i)];
    }
    double chi_square = 0;
    constexpr double expected = static_cast<double>(draws) / size;
    for (const auto& row : counts) {
        for (const int count : row) chi_square += (count - expected) * (count - expected) / expected;
    }
    CHECK(chi_square < 133);  // 81 degrees of freedom: exceeded once in 4000 times
}

TEST_CASE("every tile comes once in each pass, in another order in the next") {
    test::SyntheticSource source(37, 16, 3);
    const data::Sampler sampler({}, 5, source);
    std::vector<std::int64_t> first, second;
    for (std::int64_t i = 0; i < 37; ++i) {
        first.push_back(sampler.tile(i));
        second.push_back(sampler.tile(37 + i));
    }
    CHECK(first != second);
    std::sort(first.begin(), first.end());
    std::sort(second.begin(), second.end());
    std::vector<std::int64_t> all(37);
    std::iota(all.begin(), all.end(), 0);
    CHECK(first == all);
    CHECK(second == all);
    CHECK(sampler.steps_per_epoch(8) == 5);
}

TEST_CASE("what a step trains on depends neither on the number of ranks nor of micro-steps") {
    test::SyntheticSource source(37, 16, 3);
    config::Sampler settings;
    settings.balance = 0.3;
    const data::Sampler sampler(settings, 5, source);
    const data::Augmentation augmentation({}, 0.2, source.layout(), 5);
    const auto samples_of_steps = [&](data::BatchPlan plan) {
        std::vector<std::vector<std::pair<std::int64_t, double>>> steps;
        for (std::int64_t step = 0; step < 6; ++step) {
            std::vector<std::pair<std::int64_t, double>> samples;
            for (std::int64_t micro_step = 0; micro_step < plan.micro_steps; ++micro_step) {
                for (std::int64_t rank = 0; rank < plan.ranks; ++rank) {
                    std::vector<data::SampleDraw> draws(static_cast<std::size_t>(plan.batch));
                    data::TrainingOrder(sampler, augmentation, plan, rank)
                        .fill(step * plan.micro_steps + micro_step, draws);
                    for (const auto& draw : draws)
                        samples.emplace_back(draw.tile, draw.transform.xy + 10 * draw.transform.x0);
                }
            }
            steps.push_back(samples);
        }
        return steps;
    };
    const auto alone = samples_of_steps({1, 12, 1});
    CHECK(samples_of_steps({3, 4, 1}) == alone);
    CHECK(samples_of_steps({1, 3, 4}) == alone);
    CHECK(samples_of_steps({2, 2, 3}) == alone);
    // Shards: in the order of the ranks instead of that of the micro-steps.
    constexpr auto shards = data::BatchPlan::Order::ranks_first;
    CHECK(samples_of_steps({1, 3, 4, shards}) == alone);
    const auto sorted = [](auto steps) {
        for (auto& samples : steps) std::sort(samples.begin(), samples.end());
        return steps;
    };
    CHECK(sorted(samples_of_steps({2, 3, 2, shards})) == sorted(alone));
    const data::BatchPlan four{4, 3, 1, shards}, two{2, 3, 2, shards};
    for (std::int64_t shard = 0; shard < 4; ++shard)
        CHECK(two.first_sample(shard / 2, shard % 2) == four.first_sample(shard, 0));
}

TEST_CASE("balanced draws follow the documented probabilities") {
    test::SyntheticSource source(12, 32, 4);
    config::Sampler settings;
    settings.balance = 0.6;
    const data::Sampler sampler(settings, 11, source);
    const std::vector<std::int64_t> totals = data::total_class_pixels(source);
    constexpr std::int64_t draws = 60000;
    std::vector<double> counts(12, 0);
    for (std::int64_t i = 0; i < draws; ++i) counts[static_cast<std::size_t>(sampler.tile(i))] += 1;
    double chi_square = 0;
    for (std::size_t tile = 0; tile < 12; ++tile) {
        double probability = 0.4 / 12;
        for (std::size_t c = 0; c < 4; ++c) {
            const auto pixels = source.class_pixels(static_cast<std::int64_t>(tile));
            probability += 0.6 / 4 * static_cast<double>(pixels[c]) / static_cast<double>(totals[c]);
        }
        const double expected = probability * draws;
        chi_square += (counts[tile] - expected) * (counts[tile] - expected) / expected;
    }
    CHECK(chi_square < 33);  // 11 degrees of freedom: exceeded once in 2000 times
}

TEST_CASE("an evaluation meets every tile exactly once over all ranks, with equally many batches on each") {
    test::SyntheticSource source(23, 16, 3);
    for (const std::int64_t ranks : {1, 2, 3, 4}) {
        for (const std::int64_t batch : {1, 4, 5}) {
            std::multiset<std::int64_t> seen;
            std::int64_t empty = 0;
            for (std::int64_t rank = 0; rank < ranks; ++rank) {
                const data::EvaluationOrder order(source.layout(), 23, batch, rank, ranks);
                for (std::int64_t n = 0; n < order.batches(); ++n) {
                    std::vector<data::SampleDraw> draws(static_cast<std::size_t>(batch));
                    order.fill(n, draws);
                    for (const auto& draw : draws) {
                        if (draw.tile < 0)
                            ++empty;
                        else
                            seen.insert(draw.tile);
                    }
                }
            }
            CHECK(seen.size() == 23);
            CHECK(std::set(seen.begin(), seen.end()).size() == 23);
            CHECK(empty < ranks * batch);
        }
    }
}

TEST_CASE("a split without tiles is an error") {
    test::SyntheticSource source(0, 16, 3);
    CHECK_THROWS_WITH(data::Sampler({}, 5, source), test::contains("no training tiles"));
}
