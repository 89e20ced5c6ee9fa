#pragma once

#include "comm/communicator.hpp"

namespace terrane::comm {

/// Lets the ranks compare what they are about to do before every collective (--dist-debug detail): its
/// number, its kind and, where it must be the same, its size. Throws Error E0807 (82) on every rank where
/// they differ.
class CheckedCommunicator final : public Communicator {
  public:
    /// `inner` outlives the object.
    explicit CheckedCommunicator(Communicator& inner) : inner_(inner) {}

    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    void sum(std::span<float> values) override;
    void sum(std::span<double> values) override;
    void sum(std::span<std::int64_t> values) override;
    Ticket start_sum(std::span<float> values) override;
    void wait(Ticket ticket) override { inner_.wait(ticket); }
    void max(std::span<double> values) override;
    void max(std::span<std::int64_t> values) override;
    void broadcast(std::string& bytes, int root) override;
    std::vector<std::string> all_gather(const std::string& bytes) override;
    std::vector<std::string> gather(const std::string& bytes, int root) override;
    void barrier() override;
    void exchange_with(int partner, std::span<const float> own, std::span<float> theirs) override;

  private:
    void agree(const std::string& what);

    Communicator& inner_;
    std::int64_t number_ = 0;
};

}  // namespace terrane::comm
