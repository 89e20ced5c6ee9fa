#include "train/memory_plan.hpp"

#include <fmt/format.h>

#include <array>

#include "base/error.hpp"
#include "data/batch_plan.hpp"
#include "device/planning_backend.hpp"
#include "train/trainer.hpp"

namespace terrane::train {

namespace {

/// What the run would need with this batch, without having it.
MemoryPlan plan_with_batch(const TrainingSetup& setup, std::int64_t batch) {
    config::Config config = setup.config;
    config.train.batch = batch;
    config.train.resume = "never";
    device::PlanningBackend planning(setup.backend);
    TrainingObserver nobody;
    return Trainer({config, setup.training, setup.validation, planning, setup.communicator, setup.checkpoints,
                    nobody, setup.process_bytes})
        .plan()
        .memory;
}

}  // namespace

std::size_t MemoryPlan::total() const {
    std::size_t sum = 0;
    for (const Part& part : parts) sum += part.bytes;
    return sum;
}

std::string MemoryPlan::text() const {
    std::string text;
    for (const Part& part : parts) {
        text += fmt::format("{}{} {:.1f}", text.empty() ? "" : ", ", part.what,
                            static_cast<double>(part.bytes) / (1 << 20));
    }
    return text;
}

std::int64_t largest_batch_within(const TrainingSetup& setup, std::size_t budget) {
    if (setup.config.runtime.deterministic == "ranks") return 0;  // a micro-step is a shard
    const data::BatchPlan batches = data::plan_batches(setup.config.train, setup.communicator.size());
    const std::int64_t samples = batches.batch * batches.micro_steps;
    for (std::int64_t batch = batches.batch - 1; batch > 0; --batch) {
        if (samples % batch == 0 && plan_with_batch(setup, batch).total() <= budget) return batch;
    }
    return 0;
}

void require_memory(const TrainingSetup& setup, const MemoryPlan& plan, std::size_t budget) {
    std::array<std::int64_t, 2> agreed{static_cast<std::int64_t>(plan.total()),
                                       -static_cast<std::int64_t>(budget)};
    setup.communicator.max(agreed);
    const auto needed = static_cast<std::size_t>(agreed[0]), allowed = static_cast<std::size_t>(-agreed[1]);
    if (needed <= allowed) return;
    const std::int64_t batch = largest_batch_within(setup, allowed);
    throw Error(
        ExitCode::device_unavailable, 751,
        fmt::format("training would need {} MB per rank and may use {} MB (in MB: {}).", needed >> 20,
                    allowed >> 20, plan.text()),
        batch > 0
            ? fmt::format("The largest batch that fits: -s train.batch={} (train.global_batch stays {} by "
                          "accumulation). Or allow more with --ram, or try train.recompute=\"blocks\".",
                          batch, setup.config.train.global_batch)
        : setup.config.runtime.deterministic == "ranks"
            ? "Raise train.virtual_shards, which makes micro-steps smaller, or allow more with --ram."
            : "Not even one sample at a time fits. Use a smaller augment.crop, "
              "train.recompute=\"blocks\", or allow more with --ram.");
}

}  // namespace terrane::train
