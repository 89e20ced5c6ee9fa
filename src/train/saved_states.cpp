#include "train/saved_states.hpp"

#include "base/error.hpp"

namespace terrane::train {

SavedStates::SavedStates(const graph::ParameterStore& store, device::Backend& backend) : backend_(backend) {
    std::size_t bytes = 0;
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::no) continue;
        TERRANE_ASSERT(state.spec.dtype == DType::f32, "the state {} is not f32", state.name);
        states_.push_back(state.view());
        bytes += states_.back().bytes();
    }
    kept_ = backend.allocate(bytes);
    seen_ = backend.allocate(bytes);
}

std::span<float> SavedStates::seen() const {
    return {reinterpret_cast<float*>(seen_.data()), seen_.bytes() / sizeof(float)};
}

void SavedStates::look() {
    std::byte* place = seen_.data();
    for (const TensorView& state : states_) {
        backend_.copy_on_device(place, state.data, state.bytes());
        place += state.bytes();
    }
}

void SavedStates::keep() {
    std::swap(kept_, seen_);
    turn_ = 1 - turn_;
}

void SavedStates::write(std::span<const float> values) {
    const auto* place = reinterpret_cast<const std::byte*>(values.data());
    for (const TensorView& state : states_) {
        backend_.copy_on_device(state.data, place, state.bytes());
        place += state.bytes();
    }
}

void SavedStates::restore() {
    write({reinterpret_cast<const float*>(kept_.data()), kept_.bytes() / sizeof(float)});
}

}  // namespace terrane::train
