#include "data/batch_plan.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

std::string refusal(std::int64_t global_batch, std::int64_t batch, std::int64_t ranks) {
    config::Train settings;
    settings.global_batch = global_batch;
    settings.batch = batch;
    try {
        data::plan_batches(settings, ranks);
    } catch (const Error& error) {
        return fmt::format("error[E{:04}]: {} {}", error.number(), error.message(), error.fix());
    }
    return "accepted";
}

}  // namespace

TEST_CASE("the global batch is shared out over ranks and micro-steps") {
    config::Train settings;
    settings.global_batch = 24;
    CHECK(data::plan_batches(settings, 3).batch == 8);
    CHECK(data::plan_batches(settings, 3).micro_steps == 1);
    settings.batch = 4;
    CHECK(data::plan_batches(settings, 3).micro_steps == 2);
    CHECK(data::plan_batches(settings, 3).global_batch() == 24);
}

TEST_CASE("a global batch that can't be shared out is refused with the nearest that can") {
    CHECK(refusal(64, 4, 6) ==
          "error[E0504]: global_batch 64 is not divisible by 6 ranks x batch 4. Nearest: 72 (accum 3) or 48 "
          "(accum 2).");
    CHECK(refusal(7, 0, 2) == "error[E0504]: global_batch 7 is not divisible by 2 ranks. Nearest: 8 or 6.");
    CHECK(refusal(2, 4, 1) ==
          "error[E0504]: global_batch 2 is not divisible by 1 ranks x batch 4. Nearest: 4 (accum 1).");
    CHECK(refusal(8, 4, 2) == "accepted");
}

TEST_CASE("a run that goes on with other ranks keeps the groups of samples that batch norm saw") {
    config::Train settings;
    settings.global_batch = 24;
    const data::BatchPlan before{4, 3, 2};
    using data::KeptGroups;
    const auto own = data::plan_continuation(settings, 2, before, KeptGroups::per_rank);
    REQUIRE(own);
    CHECK(own->batch == 3);
    CHECK(own->micro_steps == 4);
    const auto exchanged = data::plan_continuation(settings, 2, before, KeptGroups::all_ranks);
    REQUIRE(exchanged);
    CHECK(exchanged->batch == 6);
    CHECK(exchanged->micro_steps == 2);
    CHECK(data::plan_continuation(settings, 8, before, KeptGroups::per_rank)->micro_steps == 1);
    CHECK_FALSE(data::plan_continuation(settings, 16, before, KeptGroups::per_rank));
    CHECK_FALSE(data::plan_continuation(settings, 5, before, KeptGroups::all_ranks));
    settings.batch = 4;  // what fits into the memory
    CHECK_FALSE(data::plan_continuation(settings, 2, before, KeptGroups::all_ranks));
    CHECK(data::plan_continuation(settings, 2, before, KeptGroups::per_rank));
}

TEST_CASE("shards are shared out evenly or refused with the nearest that can be") {
    config::Train settings;
    settings.global_batch = 24;
    const data::BatchPlan plan = data::plan_shards(settings, 2);
    CHECK(plan.batch == 3);
    CHECK(plan.micro_steps == 4);
    CHECK(plan.first_sample(1, 2) == 18);
    CHECK_THROWS_WITH(data::plan_shards(settings, 3), test::contains("E0504") && test::contains("at most 8"));
    CHECK_THROWS_WITH(data::plan_shards(settings, 16), test::contains("E0504"));
    settings.global_batch = 20;
    CHECK_THROWS_WITH(data::plan_shards(settings, 2), test::contains("Nearest: 24 or 16."));
}
