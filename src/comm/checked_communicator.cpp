#include "comm/checked_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"

namespace terrane::comm {

void CheckedCommunicator::agree(const std::string& what) {
    const std::vector<std::string> all = inner_.all_gather(fmt::format("#{} {}", ++number_, what));
    if (std::all_of(all.begin(), all.end(), [&](const std::string& one) { return one == all[0]; })) return;
    std::map<std::string, std::vector<std::size_t>> ranks;
    for (std::size_t rank = 0; rank < all.size(); ++rank) ranks[all[rank]].push_back(rank);
    std::string text;
    for (const auto& [call, callers] : ranks) {
        text += fmt::format("{}{} {}: {}", text.empty() ? "" : "; ", callers.size() == 1 ? "rank" : "ranks",
                            fmt::join(callers, ", "), call);
    }
    throw Error(ExitCode::peer_lost, 807,
                fmt::format("the ranks are about to do different collectives: {}.", text),
                "This is a bug in terrane: please report it with the command and the configuration.");
}

void CheckedCommunicator::sum(std::span<float> values) {
    agree(fmt::format("sum of {} floats", values.size()));
    inner_.sum(values);
}
void CheckedCommunicator::sum(std::span<double> values) {
    agree(fmt::format("sum of {} doubles", values.size()));
    inner_.sum(values);
}
void CheckedCommunicator::sum(std::span<std::int64_t> values) {
    agree(fmt::format("sum of {} integers", values.size()));
    inner_.sum(values);
}
void CheckedCommunicator::max(std::span<double> values) {
    agree(fmt::format("maximum of {} doubles", values.size()));
    inner_.max(values);
}
void CheckedCommunicator::max(std::span<std::int64_t> values) {
    agree(fmt::format("maximum of {} integers", values.size()));
    inner_.max(values);
}

device::Collectives::Ticket CheckedCommunicator::start_sum(std::span<float> values) {
    agree(fmt::format("sum of a gradient bucket of {} floats", values.size()));
    return inner_.start_sum(values);
}

void CheckedCommunicator::broadcast(std::string& bytes, int root) {
    agree(fmt::format("broadcast from rank {}", root));
    inner_.broadcast(bytes, root);
}
std::vector<std::string> CheckedCommunicator::all_gather(const std::string& bytes) {
    agree("all-gather");
    return inner_.all_gather(bytes);
}
std::vector<std::string> CheckedCommunicator::gather(const std::string& bytes, int root) {
    agree(fmt::format("gather to rank {}", root));
    return inner_.gather(bytes, root);
}
void CheckedCommunicator::barrier() {
    agree("barrier");
    inner_.barrier();
}

void CheckedCommunicator::exchange_with(int partner, std::span<const float> own, std::span<float> theirs) {
    agree(fmt::format("exchange of {} floats with a rank", own.size()));
    inner_.exchange_with(partner, own, theirs);
}

}  // namespace terrane::comm
