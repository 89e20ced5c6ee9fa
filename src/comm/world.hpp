#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/launch.hpp"

namespace terrane::comm {

/// An exception as its user sees it.
struct Failure {
    int exit_code = 1;
    std::string text;
};
/// Error keeps its text and code; anything else is an internal error (E0001) or a lack of memory (E0002),
/// exit 1.
Failure describe_failure(const std::exception_ptr& exception);

/// The message layer's life: initialised here if a launcher started this process, finalised by the
/// destructor. Without a launcher no MPI call is ever made. At most one object per process.
class World {
  public:
    /// Throws Error 69: E0120 (fewer ranks than the launcher promised), E0122 (MPI can't be called from
    /// threads).
    explicit World(const Launch& launch);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    const Launch& launch() const;
    int rank() const;
    int size() const;
    int local_rank() const;  ///< among the ranks on this host
    int local_size() const;
    const std::string& host() const;                ///< of this rank
    const std::vector<std::string>& hosts() const;  ///< of each rank, by rank
    int nodes() const;                              ///< distinct hosts
    std::string library() const;                    ///< "Open MPI 4.1.4", or "no MPI" without a launcher

    Communicator& communicator();
    /// One text of every rank on this host, by local rank.
    std::vector<std::string> all_gather_on_host(const std::string& bytes);

    /// After this long a collective ends with E0802.
    void set_collective_timeout(std::chrono::duration<double> limit);
    /// Asked by a waiting rank when that time has passed: true begins it anew, for work whose ranks finish
    /// far apart. An empty function takes the question back.
    void set_others_work(const std::function<bool()>& others_work);

    /// Reports an exception that ended this rank's work and returns its exit code. If all ranks failed, each
    /// distinct error is printed once and all ranks get the code of the lowest rank; otherwise this rank
    /// prints its error with rank and host and ends the whole job at once with its code (this call then
    /// doesn't return).
    int fail(const std::exception_ptr& exception);

    /// Throws Error E0121 (69) on every rank, naming the ranks, if `fingerprint` (of `what`: "configuration",
    /// "program") isn't the same everywhere.
    void require_equal(const std::string& what, const std::string& fingerprint);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace terrane::comm
