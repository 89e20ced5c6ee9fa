#include "train/saved_states.hpp"

#include "base/error.hpp"

namespace terrane::train {

namespace {

void copy(device::Backend& backend, std::span<float> to, std::span<const float> from) {
    backend.copy_on_device(reinterpret_cast<std::byte*>(to.data()),
                           reinterpret_cast<const std::byte*>(from.data()), from.size_bytes());
}

}  // namespace

SavedStates::SavedStates(const graph::ParameterStore& store, device::Backend& backend)
    : backend_(backend), blocks_(store.saved_states().begin(), store.saved_states().end()) {
    for (const auto& state : store.states()) {
        TERRANE_ASSERT(state.saved == graph::Saved::no || state.spec.dtype == DType::f32,
                       "the state {} is not f32", state.name);
    }
    std::size_t bytes = 0;
    for (const std::span<float> block : blocks_) bytes += block.size_bytes();
    kept_ = backend.allocate(bytes);
}

template <typename Visit>
void SavedStates::for_each_block(Visit visit) const {
    std::size_t done = 0;
    for (const std::span<float> block : blocks_) {
        visit(block, kept().subspan(done, block.size()));
        done += block.size();
    }
}

void SavedStates::keep() {
    read(kept());
}

void SavedStates::restore() {
    write(kept());
}

void SavedStates::settle(const device::UpdateRecord* record) {
    for_each_block([&](std::span<float> states, std::span<float> copies) {
        backend_.flat_kernels().settle(states, copies, record);
    });
}

void SavedStates::count_not_finite(double* counts) const {
    for (const std::span<float> block : blocks_) backend_.flat_kernels().count_not_finite(block, counts++);
}

void SavedStates::read(std::span<float> values) const {
    TERRANE_ASSERT(values.size() == size(), "{} of {} states", values.size(), size());
    std::size_t done = 0;
    for (const std::span<float> block : blocks_) {
        copy(backend_, values.subspan(done, block.size()), block);
        done += block.size();
    }
}

void SavedStates::write(std::span<const float> values) {
    TERRANE_ASSERT(values.size() == size(), "{} of {} states", values.size(), size());
    std::size_t done = 0;
    for (const std::span<float> block : blocks_) {
        copy(backend_, block, values.subspan(done, block.size()));
        done += block.size();
    }
}

}  // namespace terrane::train
