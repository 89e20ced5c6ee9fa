#pragma once

#include <vector>

#include "comm/lifeline.hpp"

namespace terrane::comm {

/// Rank 0's side: hears all ranks and decides how a broken job ends.
class FirstRankLifeline final : public Lifeline {
  public:
    FirstRankLifeline(Party party, FlightRecord& record, Launcher launcher,
                      std::chrono::duration<double> silence_limit, LossPolicy policy);
    ~FirstRankLifeline() override;

  private:
    struct Peer {
        Clock::time_point heard = Clock::now();
        RankEvidence evidence{};
        std::optional<Failure> failure{};
        Clock::time_point failed_at{};
        bool said_goodbye = false;
        bool lost() const { return evidence.gone || evidence.silent; }
    };

    void on_message(std::size_t link, const std::string& message) override;
    void on_closed(std::size_t link) override;
    void on_turn(Clock::time_point now) override;
    void on_stall(Clock::duration lost) override;
    void beat() override;

    void notice_own_failure();
    void notice_silence(Clock::time_point now);
    void consider_ending(Clock::time_point now);
    void begin_ending(Clock::time_point now);
    bool all_failed() const;
    bool all_reported() const;
    bool any_lost() const;
    std::vector<RankEvidence> evidence(Clock::time_point now);
    void agree();
    [[noreturn]] void end_with_loss(Clock::time_point now);
    [[noreturn]] void end_with_stall(Clock::time_point now);
    [[noreturn]] void end_with_failures();
    [[noreturn]] void end_all(int exit_code);
    void send_verdict(std::size_t rank, const Verdict& verdict);

    std::vector<Peer> peers_;  // by rank, the first is this one
    bool ending_ = false;
    Clock::time_point ending_since_{};
    bool agreed_ = false;
};

}  // namespace terrane::comm
