#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace terrane::train {

struct TrainingSetup;

/// What a training run keeps in memory, per rank, by purpose.
struct MemoryPlan {
    /// Where a part lies. With a device that shares the host's memory both are the same.
    enum class Place { device, host };
    struct Part {
        std::string what;
        std::size_t bytes = 0;
        Place place = Place::device;
    };
    std::vector<Part> parts;

    std::size_t total() const;
    std::size_t total(Place place) const;
    /// "training programs 353.1, gradients 8.6, ...": the parts in MB.
    std::string text() const;
};

/// Which memory is asked about: all of it, or what lies in a device of its own.
enum class MemoryScope { all, host, device };

/// The largest train.batch (samples per rank and micro-step) with which the run keeps to `budget` bytes while
/// train.global_batch stays what it is, by accumulation; 0 if none does. Plans only, runs nothing.
/// Collective.
std::int64_t largest_batch_within(const TrainingSetup& setup, std::size_t budget,
                                  MemoryScope scope = MemoryScope::all);

/// What the run will allocate, without allocating it: the plan of a Trainer for `setup`. Collective.
MemoryPlan planned_memory(const TrainingSetup& setup);

/// Throws Error E0751 (69) with the plan's parts and the largest batch that fits, if `plan` is over `budget`.
/// Collective: the ranks agree on the smallest budget.
void require_memory(const TrainingSetup& setup, const MemoryPlan& plan, std::size_t budget,
                    MemoryScope scope = MemoryScope::all);

/// For a device with memory of its own, before anything is allocated there: the plan of the run, which fits
/// into `left` bytes less a twentieth for libraries. Throws as require_memory(). Collective.
MemoryPlan require_device_memory(const TrainingSetup& setup, std::size_t left);

}  // namespace terrane::train
