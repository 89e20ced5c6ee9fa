#include "graph/staged_collectives.hpp"

#include <algorithm>

namespace terrane::graph {

template <typename T>
void StagedCollectives::sum_staged(std::span<T> values) {
    if (passes_through()) return collectives_.sum(values);
    if (collectives_.size() == 1) return;
    if (room_.bytes() < values.size_bytes()) room_ = backend_.allocate_staging(values.size_bytes());
    auto* const on_device = reinterpret_cast<std::byte*>(values.data());
    backend_.copy_to_host(room_.data(), on_device, values.size_bytes());
    collectives_.sum(std::span<T>(reinterpret_cast<T*>(room_.data()), values.size()));
    backend_.copy_to_device(on_device, room_.data(), values.size_bytes());
}

void StagedCollectives::sum(std::span<float> values) {
    sum_staged(values);
}
void StagedCollectives::sum(std::span<double> values) {
    sum_staged(values);
}
void StagedCollectives::sum(std::span<std::int64_t> values) {
    sum_staged(values);
}

StagedCollectives::Ticket StagedCollectives::start_sum(std::span<float> values) {
    if (passes_through()) return collectives_.start_sum(values);
    TERRANE_ASSERT(collectives_.size() > 1, "one rank has nothing to sum");
    // The smallest free slot that is large enough, so that every step finds the ones it had.
    Slot* chosen = nullptr;
    for (Slot& slot : slots_) {
        if (slot.busy || slot.memory.bytes() < values.size_bytes()) continue;
        if (chosen == nullptr || slot.memory.bytes() < chosen->memory.bytes()) chosen = &slot;
    }
    if (chosen == nullptr) {
        chosen = &slots_.emplace_back();
        chosen->memory = backend_.allocate_staging(values.size_bytes());
    }
    chosen->busy = true;
    chosen->target = values;
    backend_.copy_to_host(chosen->memory.data(), reinterpret_cast<const std::byte*>(values.data()),
                          values.size_bytes());
    chosen->ticket = collectives_.start_sum(chosen->values());
    return chosen->ticket;
}

void StagedCollectives::wait(Ticket ticket) {
    collectives_.wait(ticket);
    const auto found = std::find_if(slots_.begin(), slots_.end(), [ticket](const Slot& slot) {
        return slot.busy && slot.ticket == ticket;
    });
    if (found == slots_.end()) return;
    backend_.copy_to_device(reinterpret_cast<std::byte*>(found->target.data()), found->memory.data(),
                            found->target.size_bytes());
    found->busy = false;
}

}  // namespace terrane::graph
