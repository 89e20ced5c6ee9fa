#include "train/snapshot.hpp"

namespace terrane::train {

namespace {

constexpr std::size_t alignment = 64;

std::size_t padded(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

Snapshot::Snapshot(const graph::ParameterStore& store, optim::Optimizer& optimizer, device::Backend& backend)
    : store_(store),
      optimizer_(optimizer),
      backend_(backend),
      model_(model_tensors(store)),
      moments_(moment_tensors(store, optimizer)),
      model_copy_(model_),
      moments_copy_(moments_) {
    for (const auto* tensors : {&model_, &moments_}) {
        for (const NamedTensor& entry : *tensors) bytes_ += padded(entry.tensor.bytes());
    }
}

void Snapshot::allocate() {
    memory_.resize(bytes_);
    std::byte* place = memory_.data();
    for (auto* tensors : {&model_copy_, &moments_copy_}) {
        for (NamedTensor& entry : *tensors) {
            entry.tensor.data = place;
            place += padded(entry.tensor.bytes());
        }
    }
}

void Snapshot::take(const RunState& state) {
    if (memory_.empty()) allocate();
    const optim::AveragedWeights averaged(optimizer_, store_.trainable_values());
    copy(model_, model_copy_);
    copy(moments_, moments_copy_);
    state_ = state;
}

void Snapshot::copy(const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to) {
    for (std::size_t i = 0; i < from.size(); ++i) {
        backend_.copy_to_host(to[i].tensor.data, from[i].tensor.data, from[i].tensor.bytes());
    }
}

void Snapshot::write(const std::filesystem::path& folder, const ModelDescription& description) const {
    write_model(folder / model_file, model_copy_, description);
    write_moments(folder / moments_file, moments_copy_);
    save_run_state(folder / state_file, state_);
}

}  // namespace terrane::train
