#pragma once

#include "comm/lifeline.hpp"

namespace terrane::comm {

/// The side of every rank but 0: reports to rank 0 and does what it decides; if rank 0 itself is lost,
/// leaves.
class OtherRankLifeline final : public Lifeline {
  public:
    OtherRankLifeline(Party party, FlightRecord& record, Launcher launcher,
                      std::chrono::duration<double> silence_limit, LossPolicy policy);
    ~OtherRankLifeline() override;

  private:
    void on_message(std::size_t link, const std::string& message) override;
    void on_closed(std::size_t link) override;
    void on_turn(Clock::time_point now) override;
    void on_stall(Clock::duration lost) override;
    void beat() override;

    [[noreturn]] void first_rank_is_lost(bool silent);
    void await_speaker() const;

    net::Connection& link() { return party_.links[0]; }

    Clock::time_point heard_ = Clock::now();
    RankState first_rank_;  // as it last said
    bool failure_sent_ = false;
    bool agreed_ = false;
    bool goodbye_sent_ = false;
};

}  // namespace terrane::comm
