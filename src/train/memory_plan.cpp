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

std::size_t bytes_in(const MemoryPlan& plan, MemoryScope scope) {
    switch (scope) {
        case MemoryScope::all:
            return plan.total();
        case MemoryScope::host:
            return plan.total(MemoryPlan::Place::host);
        case MemoryScope::device:
            return plan.total(MemoryPlan::Place::device);
    }
    return 0;
}

std::int64_t planned_batch(const TrainingSetup& setup) {
    return data::plan_batches(setup.config.train, setup.communicator.size()).batch;
}

}  // namespace

std::size_t MemoryPlan::total(Place place) const {
    std::size_t sum = 0;
    for (const Part& part : parts) sum += part.place == place ? part.bytes : 0;
    return sum;
}

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

MemoryPlan planned_memory(const TrainingSetup& setup) {
    return plan_with_batch(setup, setup.config.train.batch);
}

std::int64_t largest_batch_within(const TrainingSetup& setup, std::size_t budget, MemoryScope scope) {
    if (setup.config.runtime.deterministic == "ranks") return 0;  // a micro-step is a shard
    const data::BatchPlan batches = data::plan_batches(setup.config.train, setup.communicator.size());
    const std::int64_t samples = batches.batch * batches.micro_steps;
    for (std::int64_t batch = batches.batch - 1; batch > 0; --batch) {
        if (samples % batch == 0 && bytes_in(plan_with_batch(setup, batch), scope) <= budget) return batch;
    }
    return 0;
}

void require_memory(const TrainingSetup& setup, const MemoryPlan& plan, std::size_t budget,
                    MemoryScope scope) {
    std::array<std::int64_t, 2> agreed{static_cast<std::int64_t>(bytes_in(plan, scope)),
                                       -static_cast<std::int64_t>(budget)};
    setup.communicator.max(agreed);
    const auto needed = static_cast<std::size_t>(agreed[0]), allowed = static_cast<std::size_t>(-agreed[1]);
    if (needed <= allowed) return;
    const std::int64_t batch = largest_batch_within(setup, allowed, scope);
    throw Error(
        ExitCode::device_unavailable, 751,
        fmt::format("training would need {} MB{} per rank and may use {} MB (in MB: {}).", needed >> 20,
                    scope == MemoryScope::device ? " of GPU memory" : "", allowed >> 20, plan.text()),
        batch > 0
            ? fmt::format("The largest batch that fits: -s train.batch={} (train.global_batch stays {} by "
                          "accumulation). Or allow more with --ram, or try train.recompute=\"blocks\".",
                          batch, setup.config.train.global_batch)
        : setup.config.runtime.deterministic == "ranks"
            ? "Raise train.virtual_shards, which makes micro-steps smaller, or allow more with --ram."
            : "Not even one sample at a time fits. Use a smaller augment.crop, "
              "train.recompute=\"blocks\", or allow more with --ram.");
}

MemoryPlan require_device_memory(const TrainingSetup& setup, std::size_t left) {
    MemoryPlan plan =
        plan_with_batch(setup, setup.config.runtime.deterministic == "ranks" ? setup.config.train.batch
                                                                             : planned_batch(setup));
    require_memory(setup, plan, left / 20 * 19, MemoryScope::device);
    return plan;
}

}  // namespace terrane::train
