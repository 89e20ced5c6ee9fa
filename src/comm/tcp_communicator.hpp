#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace terrane::comm {

/// Communicator over TCP, for ranks that no MPI connects. The reductions and exchanges are Gloo's; they run
/// in two threads (one for gradient buckets, one for everything else), so that the caller can give up at the
/// time limit and buckets travel while the caller computes.
class TcpCommunicator final : public Communicator {
  public:
    /// Gives each rank a text from this one (by rank) and returns theirs for this one; collective.
    using Exchange = std::function<std::vector<std::string>(const std::vector<std::string>&)>;

    /// Connects every rank with every other. `address`: this rank's, numeric, as the others can reach it.
    /// Throws Error E0801 if that fails.
    TcpCommunicator(int rank, int size, const std::string& address, std::chrono::duration<double> timeout,
                    const Exchange& exchange);
    ~TcpCommunicator() override;
    TcpCommunicator(const TcpCommunicator&) = delete;
    TcpCommunicator& operator=(const TcpCommunicator&) = delete;

    int rank() const override { return rank_; }
    int size() const override { return size_; }
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

    void set_timeout(std::chrono::duration<double> limit) { timeout_ = limit; }
    /// See World::set_others_work.
    void set_others_work(std::function<bool()> others_work) { others_work_ = std::move(others_work); }
    /// Every collective throws E0806 from now on, also one that is being waited for; from any thread.
    void abandon() { abandoned_ = true; }
    bool has_started_sums() const;
    static std::string library();  ///< "Gloo 0.5.0"

  private:
    class Mesh;
    class Lane;
    // A sum under way.
    struct Started {
        Ticket ticket = 0;
        std::span<float> values;
        std::shared_ptr<std::vector<float>> sum;
    };

    template <typename T, typename Operation>
    void reduce(const char* what, std::span<T> values, Operation operation);
    void run(const char* what, std::function<void(Mesh&, std::uint32_t tag)> work);
    void complete(Lane& lane, std::int64_t job, const char* what);

    int rank_;
    int size_;
    std::chrono::duration<double> timeout_;
    std::function<bool()> others_work_;
    std::atomic<bool> abandoned_ = false;
    std::shared_ptr<Mesh> mesh_;
    std::unique_ptr<Lane> general_, buckets_, pairs_;
    std::vector<std::uint32_t> exchanges_;  ///< made so far, by partner: ranks without one stay away
    std::vector<Started> started_;
};

}  // namespace terrane::comm
