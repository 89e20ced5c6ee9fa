#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/flight_record.hpp"

namespace terrane::comm {

/// Whether every rank says when it comes to a collective and when it leaves it: --trace-barriers. Buckets of
/// gradients, which nobody waits for where they begin, are told at their end.
enum class Trace { off, on };

/// Enters every call of another communicator into a flight record, and counts it for faults that tests order.
class RecordedCommunicator final : public Communicator {
  public:
    /// Both outlive the object.
    RecordedCommunicator(Communicator& inner, FlightRecord& record, Trace trace)
        : inner_(inner), record_(record), trace_(trace) {}

    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    void sum(std::span<float> values) override;
    void sum(std::span<double> values) override;
    void sum(std::span<std::int64_t> values) override;
    Ticket start_sum(std::span<float> values) override;
    void wait(Ticket ticket) override;
    void max(std::span<double> values) override;
    void max(std::span<std::int64_t> values) override;
    void broadcast(std::string& bytes, int root) override;
    std::vector<std::string> all_gather(const std::string& bytes) override;
    std::vector<std::string> gather(const std::string& bytes, int root) override;
    void barrier() override;
    void exchange_with(int partner, std::span<const float> own, std::span<float> theirs) override;

  private:
    std::int64_t begin(const char* kind, std::size_t bytes);
    template <typename Call>
    decltype(auto) recorded(const char* kind, std::size_t bytes, Call call);

    /// Waits for what `call` does in the name of collective `number`.
    template <typename Call>
    decltype(auto) traced(std::int64_t number, const char* kind, Call call);

    Communicator& inner_;
    FlightRecord& record_;
    Trace trace_;
    std::vector<std::pair<Ticket, std::int64_t>> started_;  // sums under way and their numbers
};

}  // namespace terrane::comm
