#include "train/virtual_shards.hpp"

#include <algorithm>
#include <bit>

#include "base/error.hpp"

namespace terrane::train {

namespace {

constexpr std::size_t exchange_length = std::size_t{1} << 20;  // floats that travel at once

}  // namespace

VirtualShards::VirtualShards(std::int64_t own, const graph::ParameterStore& store, SavedStates& states,
                             device::Backend& backend, comm::Communicator& communicator)
    : own_(own), store_(store), states_(states), backend_(backend), communicator_(communicator) {
    const auto shards = static_cast<std::uint64_t>(own);
    const auto ranks = static_cast<std::uint64_t>(communicator.size());
    TERRANE_ASSERT(std::has_single_bit(shards) && std::has_single_bit(ranks), "{} shards on each of {} ranks",
                   own, communicator.size());
    const std::size_t gradients = store.gradient_values().size_bytes();
    const std::size_t state_bytes = states.bytes();
    for (std::uint64_t level = 1; level < shards; level *= 2)
        waiting_.push_back({backend.allocate(gradients), backend.allocate(state_bytes)});
    state_sums_ = backend.allocate(state_bytes);
    zeros_ = backend.allocate(state_bytes);
    if (ranks > 1) {
        received_ =
            backend.allocate(std::min(std::max(gradients, state_bytes), exchange_length * sizeof(float)));
    }
    losses_.resize(2 * shards * ranks);
}

std::size_t VirtualShards::bytes() const {
    std::size_t sum = state_sums_.bytes() + zeros_.bytes() + received_.bytes();
    for (const Sums& level : waiting_) sum += level.gradients.bytes() + level.states.bytes();
    return sum;
}

std::span<float> VirtualShards::floats(const device::Buffer& buffer) const {
    return {reinterpret_cast<float*>(buffer.data()), buffer.bytes() / sizeof(float)};
}

void VirtualShards::add(std::int64_t shard, const graph::LossTotals& totals) {
    if (shard == 0) std::fill(losses_.begin(), losses_.end(), 0.0);
    const auto place = static_cast<std::size_t>(2 * (communicator_.rank() * own_ + shard));
    losses_[place] = totals.sum;
    losses_[place + 1] = totals.normaliser;

    states_.read(floats(state_sums_));
    states_.restore();

    // Like a binary counter: every trailing one of the shard's number is a left child that has been waiting.
    device::FlatKernels& kernels = backend_.flat_kernels();
    const std::span<float> gradients = store_.gradient_values();
    std::size_t level = 0;
    for (; (shard >> level) % 2 == 1; ++level) {
        kernels.add(gradients, floats(waiting_[level].gradients));
        kernels.add(floats(state_sums_), floats(waiting_[level].states));
    }
    if (shard + 1 == own_) return;
    backend_.copy_on_device(waiting_[level].gradients.data(),
                            reinterpret_cast<const std::byte*>(gradients.data()), gradients.size_bytes());
    backend_.copy_on_device(waiting_[level].states.data(), state_sums_.data(), state_sums_.bytes());
}

void VirtualShards::exchange(std::span<float> values) {
    for (int distance = 1; distance < communicator_.size(); distance *= 2) {
        const int partner = communicator_.rank() ^ distance;
        for (std::size_t done = 0; done < values.size(); done += exchange_length) {
            const std::span<float> part =
                values.subspan(done, std::min(values.size() - done, exchange_length));
            const std::span<float> theirs = floats(received_).first(part.size());
            communicator_.exchange_with(partner, part, theirs);
            backend_.flat_kernels().add(part, theirs);
        }
    }
}

graph::LossTotals VirtualShards::finish() {
    exchange(store_.gradient_values());
    exchange(floats(state_sums_));
    // 1 / (a power of two): exact.
    const double shards = static_cast<double>(own_ * communicator_.size());
    backend_.flat_kernels().blend(floats(state_sums_), floats(zeros_), 1 / shards);
    states_.write(floats(state_sums_));

    communicator_.sum(losses_);  // every place is zero on all ranks but one
    for (std::size_t length = losses_.size(); length > 2; length /= 2) {
        for (std::size_t i = 0; i < length / 2; i += 2) {
            losses_[i] = losses_[2 * i] + losses_[2 * i + 2];
            losses_[i + 1] = losses_[2 * i + 1] + losses_[2 * i + 3];
        }
    }
    return {losses_[0], losses_[1]};
}

}  // namespace terrane::train
