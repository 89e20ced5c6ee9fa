#include "data/batch_plan.hpp"

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

}  // namespace terrane::data
