#include "data/batch_plan.hpp"

#include <bit>
#include <string>

#include "base/error.hpp"

namespace terrane::data {

namespace {

std::string choice(std::int64_t accumulation, std::int64_t unit, bool with_accumulation) {
    std::string text = fmt::format("{}", accumulation * unit);
    if (with_accumulation) text += fmt::format(" (accum {})", accumulation);
    return text;
}

}  // namespace

BatchPlan plan_batches(const config::Train& settings, std::int64_t ranks) {
    const bool given = settings.batch > 0;
    const std::int64_t unit = given ? ranks * settings.batch : ranks;
    if (settings.global_batch <= 0 || settings.global_batch % unit != 0) {
        const std::string parts = given ? fmt::format("{} ranks x batch {}", ranks, settings.batch)
                                        : fmt::format("{} ranks", ranks);
        const std::int64_t below = settings.global_batch > 0 ? settings.global_batch / unit : 0;
        std::string nearest = choice(below + 1, unit, given);
        if (below > 0) nearest += " or " + choice(below, unit, given);
        throw Error(ExitCode::config_invalid, 504,
                    fmt::format("global_batch {} is not divisible by {}.", settings.global_batch, parts),
                    fmt::format("Nearest: {}.", nearest));
    }
    if (!given) return {ranks, settings.global_batch / ranks, 1};
    return {ranks, settings.batch, settings.global_batch / unit};
}

std::optional<BatchPlan> plan_continuation(const config::Train& settings, std::int64_t ranks,
                                           const BatchPlan& before, KeptGroups groups) {
    const std::int64_t samples = settings.global_batch;
    BatchPlan plan{ranks, 0, 0};
    switch (groups) {
        case KeptGroups::per_rank:
            if (samples % (ranks * before.batch) != 0) return std::nullopt;
            plan.batch = before.batch;
            plan.micro_steps = samples / (ranks * before.batch);
            break;
        case KeptGroups::all_ranks:
            if (samples % (ranks * before.micro_steps) != 0) return std::nullopt;
            plan.batch = samples / (ranks * before.micro_steps);
            plan.micro_steps = before.micro_steps;
            break;
    }
    if (settings.batch > 0 && plan.batch > settings.batch) return std::nullopt;
    return plan;
}

BatchPlan plan_shards(const config::Train& settings, std::int64_t ranks) {
    const std::int64_t shards = settings.virtual_shards;
    if (!std::has_single_bit(static_cast<std::uint64_t>(shards))) {
        throw Error(ExitCode::config_invalid, 509,
                    fmt::format("train.virtual_shards is {}, which is no power of two.", shards),
                    "Choose 1, 2, 4, 8, 16 ...");
    }
    if (settings.batch > 0) {
        throw Error(ExitCode::config_invalid, 509,
                    "train.batch can't be chosen with --deterministic=ranks: a micro-step is a shard.",
                    "Leave it 0; more train.virtual_shards make smaller micro-steps.");
    }
    if (ranks > shards || shards % ranks != 0) {
        throw Error(ExitCode::config_invalid, 504,
                    fmt::format("{} virtual shards can't be shared out evenly over {} ranks.", shards, ranks),
                    fmt::format("Start a power of two of ranks, at most {}.", shards));
    }
    if (settings.global_batch < shards || settings.global_batch % shards != 0) {
        const std::int64_t below = settings.global_batch / shards * shards;
        throw Error(
            ExitCode::config_invalid, 504,
            fmt::format("global_batch {} is not divisible by {} virtual shards.", settings.global_batch,
                        shards),
            fmt::format("Nearest: {}{}.", below + shards, below > 0 ? fmt::format(" or {}", below) : ""));
    }
    return {ranks, settings.global_batch / shards, shards / ranks, BatchPlan::Order::ranks_first};
}

}  // namespace terrane::data
