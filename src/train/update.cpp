#include "train/update.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace terrane::train {

namespace {

// What an update is recorded in: the sum over the ranks may go by way of the host.
constexpr std::size_t gather_part = 0, sum_part = 1, make_part = 2, parts = 3;

}  // namespace

Update::Update(optim::Optimizer& optimizer, const graph::ParameterStore& store, SavedStates& states,
               device::Backend& backend, device::Collectives& sums, float* loss_scale,
               std::int64_t most_passes, std::size_t most_waiting)
    : optimizer_(optimizer),
      store_(store),
      states_(states),
      backend_(backend),
      sums_(backend, sums),
      loss_scale_(loss_scale),
      counts_(backend.allocate(states.counts() * sizeof(double))),
      places_(most_waiting) {
    const std::size_t bytes =
        sizeof(device::UpdateRecord) + 2 * sizeof(double) * static_cast<std::size_t>(most_passes);
    for (Place& place : places_) {
        place.memory = backend.allocate_staging(bytes);
        place.mark = backend.make_mark();
    }
}

std::span<double> Update::counts() const {
    return {reinterpret_cast<double*>(counts_.data()), counts_.bytes() / sizeof(double)};
}

Update::Recorded& Update::recorded_for(const device::PassLosses& losses) {
    const auto found = std::find_if(recorded_.begin(), recorded_.end(),
                                    [&](const Recorded& one) { return one.losses == losses; });
    if (found != recorded_.end()) return *found;
    Recorded& fresh = recorded_.emplace_back();
    fresh.losses = losses;
    return fresh;
}

void Update::queue(const device::UpdateOrder& order, const device::PassLosses& losses) {
    TERRANE_ASSERT(waiting_ < places_.size(), "{} updates wait to be taken", waiting_);
    Place& place = places_[next_];
    const std::size_t loss_bytes = 2 * sizeof(double) * static_cast<std::size_t>(losses.passes);
    TERRANE_ASSERT(sizeof(device::UpdateRecord) + loss_bytes <= place.memory.bytes(), "{} passes",
                   losses.passes);
    optimizer_.order(order);
    losses_ = losses;
    const bool by_host = sums_.size() > 1 && !sums_.are_queued();
    // What is captured fits into a std::function without memory of its own: a step allocates nothing.
    recorded_for(losses).steps.run(
        backend_, parts, [by_host](std::size_t part) { return by_host && part == sum_part; },
        [this](std::size_t part) { run(part); });

    backend_.copy_to_host_later(place.memory.data(), reinterpret_cast<const std::byte*>(optimizer_.record()),
                                sizeof(device::UpdateRecord));
    backend_.copy_to_host_later(place.memory.data() + sizeof(device::UpdateRecord),
                                reinterpret_cast<const std::byte*>(losses.totals), loss_bytes);
    place.mark->set();
    place.passes = losses.passes;
    next_ = (next_ + 1) % places_.size();
    ++waiting_;
}

void Update::run(std::size_t part) {
    switch (part) {
        case gather_part:
            states_.count_not_finite(counts().data());
            optimizer_.gather(store_.gradient_values(), losses_, counts());
            break;
        case sum_part:
            if (sums_.size() > 1) sums_.sum(optimizer_.sums());
            break;
        case make_part:
            optimizer_.make(store_.trainable_values(), store_.gradient_values(), loss_scale_);
            states_.settle(optimizer_.record());
            break;
    }
}

Update::Result Update::take() {
    TERRANE_ASSERT(waiting_ > 0, "no update is queued");
    Place& place = places_[(next_ + places_.size() - waiting_) % places_.size()];
    place.mark->wait();
    --waiting_;
    Result result;
    std::memcpy(&result.record, place.memory.data(), sizeof(result.record));
    result.losses = {reinterpret_cast<const double*>(place.memory.data() + sizeof(device::UpdateRecord)),
                     2 * static_cast<std::size_t>(place.passes)};
    return result;
}

}  // namespace terrane::train
