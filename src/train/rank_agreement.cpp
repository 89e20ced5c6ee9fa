#include "train/rank_agreement.hpp"

#include <string>

#include "base/hash.hpp"

namespace terrane::train {

namespace {

void broadcast_tensor(const TensorView& tensor, device::Backend& backend, comm::Communicator& communicator) {
    std::string bytes(tensor.bytes(), '\0');
    auto* data = reinterpret_cast<std::byte*>(bytes.data());
    backend.copy_to_host(data, tensor.data, bytes.size());
    communicator.broadcast(bytes, 0);
    TERRANE_ASSERT(bytes.size() == tensor.bytes(), "the ranks' tensors differ in size");
    backend.copy_to_device(tensor.data, reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

}  // namespace

void broadcast_states(const graph::ParameterStore& store, device::Backend& backend,
                      comm::Communicator& communicator) {
    if (communicator.size() == 1) return;
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes) broadcast_tensor(state.view(), backend, communicator);
    }
}

void broadcast_model(const graph::ParameterStore& store, device::Backend& backend,
                     comm::Communicator& communicator) {
    if (communicator.size() == 1) return;
    for (const auto& entry : store.entries()) broadcast_tensor(store.parameter(entry), backend, communicator);
    broadcast_states(store, backend, communicator);
}

void broadcast_moments(optim::Optimizer& optimizer, device::Backend& backend,
                       comm::Communicator& communicator) {
    if (communicator.size() == 1) return;
    for (const optim::Optimizer::Moment& moment : optimizer.moments()) {
        const Shape shape{static_cast<std::int64_t>(moment.values.size())};
        broadcast_tensor({reinterpret_cast<std::byte*>(moment.values.data()), {DType::f32, shape}}, backend,
                         communicator);
    }
}

void require_equal_parameters(const graph::ParameterStore& store, device::Backend& backend,
                              comm::Communicator& communicator) {
    Sha256 digest;
    std::vector<std::byte> bytes;
    for (const auto& entry : store.entries()) {
        const TensorView tensor = store.parameter(entry);
        bytes.resize(tensor.bytes());
        backend.copy_to_host(bytes.data(), tensor.data, bytes.size());
        digest.update(bytes);
    }
    const std::vector<std::string> digests = communicator.all_gather(digest.finish());
    for (std::size_t rank = 1; rank < digests.size(); ++rank) {
        if (digests[rank] == digests[0]) continue;
        throw Error(ExitCode::peer_lost, 810,
                    fmt::format("rank {} holds other parameters than rank 0.", rank),
                    "Run the same program on all nodes; 'terrane doctor' shows what differs.");
    }
}

}  // namespace terrane::train
