#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "comm/diagnosis.hpp"
#include "comm/failure.hpp"
#include "comm/flight_record.hpp"
#include "comm/loss_response.hpp"
#include "comm/process.hpp"
#include "comm/rendezvous.hpp"

namespace terrane::comm {

/// What the ranks agreed on after a failure of this one.
struct Verdict {
    int exit_code = 1;
    bool print = false;  ///< this rank is to print its error
    bool place = false;  ///< with rank and host
    bool leave = false;  ///< not all failed: the process ends as soon as printed() is called
};

/// How a rank meets the loss of another.
struct LossPolicy {
    LossResponse response = LossResponse::abort_and_exit;
    /// LossResponse::abort: makes every collective of this rank throw from now on; from another thread.
    std::function<void()> abandon_collectives{};
};

/// A thread of each rank that tells rank 0 every now and then that the rank lives and what it does, over
/// connections of its own. Rank 0's thread sees who is gone or silent, and ends the job: every rank leaves
/// with the same exit code, and the message names the culprit. docs/adr tells why it is made like this.
class Lifeline {
  public:
    /// `record` outlives the object.
    static std::unique_ptr<Lifeline> make(Party party, FlightRecord& record, Launcher launcher,
                                          std::chrono::duration<double> silence_limit, LossPolicy policy);
    /// Says goodbye and waits until all ranks have done so.
    virtual ~Lifeline() = default;
    Lifeline(const Lifeline&) = delete;
    Lifeline& operator=(const Lifeline&) = delete;

    /// This rank's work has ended with a failure. Returns when all ranks have failed, or when this rank is to
    /// print its error; otherwise the process ends within the call.
    Verdict report(const Failure& failure);
    /// After report(), if the verdict is to leave. Returns with LossResponse::abort only, when
    /// the others know.
    void printed();

    void set_silence_limit(std::chrono::duration<double> limit) { silence_limit_ = limit.count(); }
    /// Where the last collectives of all ranks are written when the job breaks; without one, or if it isn't
    /// there, to standard error.
    void set_report_folder(const std::filesystem::path& folder);
    /// Describes what the rank works on; called from another thread at any time until it is replaced.
    void set_activity(std::function<std::string()> activity);
    /// Called from the lifeline's thread right before it ends the process, which waits a second for it; must
    /// not hold on to anything that may be gone by then. Not with LossResponse::exit. An empty function takes
    /// it back.
    void set_last_act(std::function<void()> last_act);

  protected:
    Lifeline(Party party, FlightRecord& record, Launcher launcher,
             std::chrono::duration<double> silence_limit, LossPolicy policy);

    using Clock = net::Clock;

    // The thread's part. Derived classes start and stop it, so that no virtual call meets a half-made object.
    void start();
    void stop();
    virtual void on_message(std::size_t link, const std::string& message) = 0;
    virtual void on_closed(std::size_t link) = 0;
    virtual void on_turn(Clock::time_point now) = 0;
    /// The thread itself didn't run for so long: silence in that time means nothing.
    virtual void on_stall(Clock::duration lost) = 0;
    virtual void beat() = 0;

    int own_rank() const { return party_.rank; }
    bool minds_losses() const { return policy_.response != LossResponse::none; }
    bool is_first_of_host(
        int from_rank) const;  ///< the lowest rank of this machine, counted from `from_rank`
    std::chrono::duration<double> silence_limit() const {
        return std::chrono::duration<double>(silence_limit_.load());
    }
    RankState own_state();
    std::string beat_message();
    std::string report_message();
    void give_verdict(const Verdict& verdict);
    void await_printed();
    /// Writes `text` and what is known of the ranks where it belongs, and gives "Details: FILE" or the
    /// details.
    std::string keep_evidence(const std::string& text, const std::vector<Member>& members,
                              const std::vector<RankEvidence>& evidence);
    /// Ranks that no longer answer can't end themselves.
    void end_processes_here(const std::vector<int>& ranks);
    /// Ends the process, or with LossResponse::abort this thread, by an exception.
    [[noreturn]] void leave(int exit_code);

    Party party_;
    FlightRecord& record_;
    bool finished_ = false;  // the thread's: nothing is left to do

    std::mutex mutex_;  // of the following
    std::condition_variable changed_;
    std::optional<Failure> own_failure_;
    std::optional<Verdict> verdict_;
    bool printed_ = false;
    bool leaving_ = false;
    std::filesystem::path report_folder_;
    std::function<std::string()> activity_;
    std::function<void()> last_act_;

  private:
    struct ThreadEnds {};  // what leave() throws

    void run();
    void turn(Clock::time_point& last_turn, Clock::time_point& next_beat);
    void watch_launcher();
    void wake();

    LossPolicy policy_;
    LauncherWatch launcher_;
    std::atomic<double> silence_limit_;
    net::Descriptor wake_;
    std::thread thread_;
};

}  // namespace terrane::comm
