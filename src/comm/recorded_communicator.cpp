#include "comm/recorded_communicator.hpp"

#include <algorithm>
#include <chrono>

#include "base/fault.hpp"
#include "base/log.hpp"

namespace terrane::comm {

std::int64_t RecordedCommunicator::begin(const char* kind, std::size_t bytes) {
    const std::int64_t number = record_.begin(kind, bytes);
    fault::reached(fault::Place::collective, number);
    return number;
}

template <typename Call>
decltype(auto) RecordedCommunicator::traced(std::int64_t number, const char* kind, Call call) {
    record_.wait(number);
    if (trace_ == Trace::off) return call();
    const auto begin = std::chrono::steady_clock::now();
    log::write_from_every_rank(fmt::format("trace comes to #{} {}", number, kind));
    const auto tell = [&] {
        log::write_from_every_rank(
            fmt::format("trace leaves #{} {} after {:.6f} s", number, kind,
                        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()));
    };
    if constexpr (std::is_void_v<decltype(call())>) {
        call();
        tell();
    } else {
        auto result = call();
        tell();
        return result;
    }
}

// A call that throws stays "under way" in the record: that is what the reader of a failure wants to see.
template <typename Call>
decltype(auto) RecordedCommunicator::recorded(const char* kind, std::size_t bytes, Call call) {
    const std::int64_t number = begin(kind, bytes);
    if constexpr (std::is_void_v<decltype(call())>) {
        traced(number, kind, call);
        record_.end(number);
    } else {
        auto result = traced(number, kind, call);
        record_.end(number);
        return result;
    }
}

void RecordedCommunicator::sum(std::span<float> values) {
    recorded("sum of floats", values.size_bytes(), [&] { inner_.sum(values); });
}
void RecordedCommunicator::sum(std::span<double> values) {
    recorded("sum of doubles", values.size_bytes(), [&] { inner_.sum(values); });
}
void RecordedCommunicator::sum(std::span<std::int64_t> values) {
    recorded("sum of integers", values.size_bytes(), [&] { inner_.sum(values); });
}
void RecordedCommunicator::max(std::span<double> values) {
    recorded("maximum of doubles", values.size_bytes(), [&] { inner_.max(values); });
}
void RecordedCommunicator::max(std::span<std::int64_t> values) {
    recorded("maximum of integers", values.size_bytes(), [&] { inner_.max(values); });
}

device::Collectives::Ticket RecordedCommunicator::start_sum(std::span<float> values) {
    const std::int64_t number = record_.begin_traffic("sum of a gradient bucket", values.size_bytes());
    fault::reached(fault::Place::collective, number);
    const Ticket ticket = inner_.start_sum(values);
    started_.emplace_back(ticket, number);
    return ticket;
}

void RecordedCommunicator::wait(Ticket ticket) {
    const auto found = std::find_if(started_.begin(), started_.end(),
                                    [ticket](const auto& one) { return one.first == ticket; });
    if (found == started_.end()) return inner_.wait(ticket);  // which says what is wrong
    const std::int64_t number = found->second;
    traced(number, "sum of a gradient bucket", [&] { inner_.wait(ticket); });
    record_.end_traffic(number);
    started_.erase(found);
}

void RecordedCommunicator::broadcast(std::string& bytes, int root) {
    recorded("broadcast", bytes.size(), [&] { inner_.broadcast(bytes, root); });
}
std::vector<std::string> RecordedCommunicator::all_gather(const std::string& bytes) {
    return recorded("all-gather", bytes.size(), [&] { return inner_.all_gather(bytes); });
}
std::vector<std::string> RecordedCommunicator::gather(const std::string& bytes, int root) {
    return recorded("gather", bytes.size(), [&] { return inner_.gather(bytes, root); });
}
void RecordedCommunicator::exchange_with(int partner, std::span<const float> own, std::span<float> theirs) {
    recorded("exchange with a rank", own.size_bytes(), [&] { inner_.exchange_with(partner, own, theirs); });
}
void RecordedCommunicator::barrier() {
    recorded("barrier", 0, [&] { inner_.barrier(); });
}

}  // namespace terrane::comm
