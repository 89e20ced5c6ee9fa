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
