#pragma once

#include <chrono>

#include "comm/communicator.hpp"

namespace terrane::bench {

/// Passes everything on and adds up the time for which the calling rank stood still in sums: what
/// communication adds to a step, waiting for slower ranks included. Sums that run beside the computation
/// count only while they are waited for.
class TimedCommunicator final : public comm::Communicator {
  public:
    explicit TimedCommunicator(comm::Communicator& inner) : inner_(inner) {}

    double seconds() const { return seconds_; }
    std::size_t bytes() const { return bytes_; }  ///< summed by start_sum

    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    void sum(std::span<float> values) override {
        time([&] { inner_.sum(values); });
    }
    void sum(std::span<double> values) override {
        time([&] { inner_.sum(values); });
    }
    void sum(std::span<std::int64_t> values) override {
        time([&] { inner_.sum(values); });
    }
    Ticket start_sum(std::span<float> values) override {
        bytes_ += values.size_bytes();
        Ticket ticket = 0;
        time([&] { ticket = inner_.start_sum(values); });
        return ticket;
    }
    void wait(Ticket ticket) override {
        time([&] { inner_.wait(ticket); });
    }
    void max(std::span<double> values) override { inner_.max(values); }
    void max(std::span<std::int64_t> values) override { inner_.max(values); }
    void broadcast(std::string& bytes, int root) override { inner_.broadcast(bytes, root); }
    std::vector<std::string> all_gather(const std::string& bytes) override {
        return inner_.all_gather(bytes);
    }
    std::vector<std::string> gather(const std::string& bytes, int root) override {
        return inner_.gather(bytes, root);
    }
    void barrier() override { inner_.barrier(); }
    void exchange_with(int partner, std::span<const float> own, std::span<float> theirs) override {
        time([&] { inner_.exchange_with(partner, own, theirs); });
    }

  private:
    void time(const auto& work) {
        const auto begin = std::chrono::steady_clock::now();
        work();
        seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

    comm::Communicator& inner_;
    double seconds_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace terrane::bench
