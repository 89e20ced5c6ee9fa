#include "train/rank_agreement.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.hpp"
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

namespace {

std::vector<std::uint64_t> checksums_of(const graph::ParameterStore& store, device::Backend& backend) {
    std::vector<std::uint64_t> sums;
    std::vector<std::byte> bytes;
    for (const auto& entry : store.entries()) {
        const TensorView tensor = store.parameter(entry);
        bytes.resize(tensor.bytes());
        backend.copy_to_host(bytes.data(), tensor.data, bytes.size());
        sums.push_back(crc64(bytes));
    }
    return sums;
}

std::string text_of(const std::vector<std::uint64_t>& sums) {
    return {reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(sums[0])};
}

// The rank whose checksums most ranks have; rank 0 if no more than half of them agree on any.
std::size_t representative(const std::vector<std::string>& totals) {
    for (std::size_t rank = 0; rank < totals.size(); ++rank) {
        const auto equal = std::count(totals.begin(), totals.end(), totals[rank]);
        if (2 * static_cast<std::size_t>(equal) > totals.size()) return rank;
    }
    return 0;
}

}  // namespace

void require_equal_replicas(const graph::ParameterStore& store, device::Backend& backend,
                            comm::Communicator& communicator) {
    if (communicator.size() == 1) return;
    const std::string own = text_of(checksums_of(store, backend));
    const std::uint64_t total = crc64(std::as_bytes(std::span(own)));
    const std::vector<std::string> totals = communicator.all_gather(text_of({total}));
    if (std::all_of(totals.begin(), totals.end(), [&](const auto& other) { return other == totals[0]; }))
        return;

    const std::vector<std::string> sums = communicator.all_gather(own);
    const std::size_t right = representative(totals);
    constexpr std::size_t length = sizeof(std::uint64_t);
    constexpr std::size_t named = 3;
    std::string findings;
    for (std::size_t rank = 0; rank < sums.size(); ++rank) {
        if (totals[rank] == totals[right]) continue;
        std::vector<std::string> tensors;
        for (std::size_t i = 0; i < store.entries().size(); ++i) {
            if (sums[rank].compare(i * length, length, sums[right], i * length, length) != 0)
                tensors.push_back(store.entries()[i].name);
        }
        const std::size_t all = tensors.size();
        tensors.resize(std::min(all, named));
        findings += fmt::format(
            "{}rank {} holds other parameters than rank {}: {} of {} tensors differ, first {}",
            findings.empty() ? "" : "; ", rank, right, all, store.entries().size(), fmt::join(tensors, ", "));
    }
    throw Error(
        ExitCode::diverged, 521, findings + ".",
        "No checkpoint was written of this. Run the same command again: it continues from the last one; if "
        "this rank's machine does it again, take it out.");
}

}  // namespace terrane::train
