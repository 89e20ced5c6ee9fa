#pragma once

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <span>
#include <vector>

#include "comm/communicator.hpp"

namespace terrane::comm {

/// Communicator over MPI. Everything runs through non-blocking calls that are polled against a deadline, so
/// that a rank that stopped answering ends the job instead of stalling it. Buckets have their own MPI
/// communicator: their order is independent of the other collectives'.
class MpiCommunicator final : public Communicator {
  public:
    /// `parent` is duplicated (collective); the handles are freed by close(), before MPI_Finalize.
    explicit MpiCommunicator(MPI_Comm parent);
    ~MpiCommunicator() override = default;
    MpiCommunicator(const MpiCommunicator&) = delete;
    MpiCommunicator& operator=(const MpiCommunicator&) = delete;

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
    void close();

  private:
    // A reduction under way. The slots and their lists are used again: a step allocates nothing.
    struct Started {
        Ticket ticket = 0;  // 0: free
        std::vector<MPI_Request> requests;
    };

    template <typename T>
    void start_reduction(std::span<T> values, MPI_Datatype type, MPI_Op op, MPI_Comm group,
                         std::vector<MPI_Request>& requests);
    template <typename T>
    void reduce(std::span<T> values, MPI_Datatype type, MPI_Op op, const char* what);
    void complete(std::span<MPI_Request> requests, const char* what);

    MPI_Comm general_ = MPI_COMM_NULL;
    MPI_Comm buckets_ = MPI_COMM_NULL;
    int rank_ = 0;
    int size_ = 1;
    std::chrono::duration<double> timeout_ = std::chrono::seconds(1800);
    std::function<bool()> others_work_;
    std::atomic<bool> abandoned_ = false;
    std::vector<Started> started_;
    std::vector<MPI_Request> requests_;  // of the blocking reductions
    Ticket next_ticket_ = 1;
};

}  // namespace terrane::comm
