#include "graph/staged_collectives.hpp"

namespace terrane::graph {

template <typename T>
void StagedCollectives::sum_staged(std::span<T> values) {
    if (passes_through()) return collectives_.sum(values);
    if (collectives_.size() == 1) return;
    room_.resize(values.size_bytes());
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
    Pending pending{values, std::vector<float>(values.size())};
    backend_.copy_to_host(reinterpret_cast<std::byte*>(pending.values.data()),
                          reinterpret_cast<const std::byte*>(values.data()), values.size_bytes());
    const Ticket ticket = collectives_.start_sum(pending.values);
    pending_.emplace(ticket, std::move(pending));  // the values stay where they are
    return ticket;
}

void StagedCollectives::wait(Ticket ticket) {
    collectives_.wait(ticket);
    const auto found = pending_.find(ticket);
    if (found == pending_.end()) return;
    const Pending& pending = found->second;
    backend_.copy_to_device(reinterpret_cast<std::byte*>(pending.target.data()),
                            reinterpret_cast<const std::byte*>(pending.values.data()),
                            pending.target.size_bytes());
    pending_.erase(found);
}

}  // namespace terrane::graph
