#pragma once

#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/failure.hpp"
#include "comm/flight_record.hpp"
#include "comm/launch.hpp"
#include "comm/loss_response.hpp"

namespace terrane::comm {

/// What a world needs to know from its beginning.
struct WorldSettings {
    std::chrono::duration<double> collective_timeout = std::chrono::seconds(1800);  ///< also for the meeting
    std::chrono::duration<double> heartbeat_timeout = std::chrono::seconds(30);
    std::string program{};           ///< hash; ranks with another are refused
    bool check_collectives = false;  ///< before every collective the ranks compare what they are about to do
    LossResponse on_loss = LossResponse::abort_and_exit;
    bool trace_collectives = false;  ///< every rank says when it comes to a collective and when it leaves it
};

/// The ranks of a job and what connects them: MPI, TCP without MPI, or nothing where there is one rank.
/// Without an MPI launcher no MPI call is ever made. Each rank has a thread that sends heartbeats; the loss
/// of a rank ends the job within seconds (E0803 gone, E0804 silent, E0805 the launcher is gone; exit 82). At
/// most one object per process.
class World {
  public:
    /// Collective. Throws Error 69: E0120 (fewer ranks than the launcher promised), E0121 (programs differ),
    /// E0125 (ranks don't come), E0126 (the port is in use), E0127 (ranks contradict each other); Error E0801
    /// if the ranks can't be connected. An error that another rank prints is a comm::Refused.
    explicit World(const Launch& launch, const WorldSettings& settings = {});
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
    std::string library() const;  ///< "Open MPI 4.1.4", "Gloo 0.5.0", or "no MPI" without a launcher
    std::string master() const;   ///< "10.0.0.1:29500" where the ranks met over TCP, else empty

    Communicator& communicator();
    /// One text of every rank on this host, by rank. Collective over all ranks.
    std::vector<std::string> all_gather_on_host(const std::string& bytes);

    /// After this long a collective ends with E0802; with LossResponse::none there is no limit.
    void set_collective_timeout(std::chrono::duration<double> limit);
    /// After this long without a heartbeat a rank is lost (E0804).
    void set_heartbeat_timeout(std::chrono::duration<double> limit);
    /// Asked by a waiting rank when the collective timeout has passed: true begins it anew, for work whose
    /// ranks finish far apart. An empty function takes the question back.
    void set_others_work(const std::function<bool()>& others_work);

    /// For the message when the job breaks: the folder in which the last collectives of all ranks are written
    /// (without one they go to standard error), the training step, and what the rank works on, asked from
    /// another thread.
    void set_report_folder(const std::filesystem::path& folder);
    void set_step(std::int64_t step);
    void set_activity(std::function<std::string()> activity);
    /// Called from another thread right before the process is ended because a rank is lost: see
    /// Lifeline::set_last_act.
    void set_last_act(std::function<void()> last_act);
    /// Enters what a device's queue sums into the record of collectives, which messages about broken jobs
    /// show.
    device::SumListener& sum_listener();
    LossResponse on_loss() const;
    /// Seconds this rank has waited in collectives so far.
    double waited() const;
    /// What sums of gradients have moved so far, on this rank.
    Traffic traffic() const;

    /// Reports an exception that ended this rank's work and returns its exit code. If all ranks failed, each
    /// distinct error is printed once and all ranks get the code of the lowest rank; otherwise this rank
    /// prints its error with rank and host and the whole job ends at once with its code (this call then
    /// doesn't return). Failures of collectives alone (E0801, E0802) are printed once by rank 0, with the
    /// ranks that caused them.
    int fail(const std::exception_ptr& exception);

    /// Throws Error E0121 (69) on every rank, naming the ranks, if `fingerprint` (of `what`: "configuration",
    /// "tile store") isn't the same everywhere.
    void require_equal(const std::string& what, const std::string& fingerprint);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace terrane::comm
