#include "comm/other_rank_lifeline.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "comm/lifeline_messages.hpp"
#include "comm/process.hpp"

namespace terrane::comm {

namespace {

// What a rank that says nothing gives the one of its host that speaks.
constexpr auto shortest_wait = std::chrono::milliseconds(200);
constexpr auto longest_wait = std::chrono::milliseconds(1500);

}  // namespace

OtherRankLifeline::OtherRankLifeline(Party party, FlightRecord& record, Launcher launcher,
                                     std::chrono::duration<double> silence_limit, LossPolicy policy)
    : Lifeline(std::move(party), record, launcher, silence_limit, std::move(policy)) {
    start();
}

OtherRankLifeline::~OtherRankLifeline() {
    stop();
}

void OtherRankLifeline::beat() {
    if (link().is_open() && link().unsent() < 65536) link().send(beat_message());
}

void OtherRankLifeline::on_message(std::size_t, const std::string& message) {
    heard_ = Clock::now();
    net::MessageReader reader(message);
    switch (reader.integer()) {
        case lifeline::beat:
            first_rank_ = lifeline::read_state(reader);
            break;
        case lifeline::ask:
            link().send(report_message());
            break;
        case lifeline::verdict: {
            Verdict verdict;
            verdict.exit_code = static_cast<int>(reader.integer());
            verdict.print = reader.integer() != 0;
            verdict.place = reader.integer() != 0;
            verdict.leave = reader.integer() != 0;
            agreed_ = true;
            give_verdict(verdict);
            if (!verdict.leave) break;
            await_printed();
            leave(verdict.exit_code);
        }
        case lifeline::end: {
            const int exit_code = static_cast<int>(reader.integer());
            const std::int64_t count = reader.integer();
            std::vector<int> lost;
            for (std::int64_t i = 0; i < count && !reader.failed(); ++i) {
                const std::int64_t rank = reader.integer();
                if (rank >= 0 && rank < static_cast<std::int64_t>(party_.members.size()))
                    lost.push_back(static_cast<int>(rank));
            }
            end_processes_here(lost);
            leave(exit_code);
        }
        case lifeline::goodbye:
            finished_ = true;
            break;
        default:
            break;
    }
}

void OtherRankLifeline::on_closed(std::size_t) {
    // Once all failed together rank 0 may be the first to leave.
    if (agreed_ || finished_) {
        finished_ = true;
        return;
    }
    if (!minds_losses()) {
        // Nobody is left to ask what to do with an error of this rank's own: it prints it and ends.
        finished_ = true;
        return give_verdict({static_cast<int>(ExitCode::peer_lost), true, true, false});
    }
    first_rank_is_lost(false);
}

void OtherRankLifeline::on_stall(Clock::duration lost) {
    heard_ += lost;
}

void OtherRankLifeline::on_turn(Clock::time_point now) {
    if (finished_) return;
    std::optional<Failure> failure;
    bool leaving = false;
    {
        const std::lock_guard lock(mutex_);
        if (!failure_sent_) failure = own_failure_;
        leaving = leaving_;
    }
    if (failure) {
        failure_sent_ = true;
        link().send(lifeline::message(lifeline::failed)
                        .add(failure->exit_code)
                        .add(failure->number)
                        .add(failure->text)
                        .bytes());
    }
    if (leaving && !goodbye_sent_) {
        goodbye_sent_ = true;
        link().send(lifeline::message(lifeline::goodbye).bytes());
    }
    if (!agreed_ && minds_losses() && now - heard_ > silence_limit()) first_rank_is_lost(true);
}

// Without rank 0 nobody can ask anybody: each rank leaves on its own, one of each host says why.
void OtherRankLifeline::first_rank_is_lost(bool silent) {
    const auto size = party_.members.size();
    std::vector<RankEvidence> evidence(size);
    evidence[0].state = first_rank_;
    evidence[0].gone = !silent;
    evidence[0].silent = silent;
    evidence[0].unheard = std::chrono::duration<double>(Clock::now() - heard_).count();
    const auto own = static_cast<std::size_t>(own_rank());
    evidence[own].state = own_state();
    evidence[own].lines = record_.lines();
    const Failure told = explain_loss(party_.members, evidence, own_rank());
    // What the others know is theirs to say.
    const std::string details = keep_evidence(told.text, {party_.members[own]}, {evidence[own]});
    if (!is_first_of_host(1)) await_speaker();
    if (is_first_of_host(1)) print_failure(told.text + details);
    {
        const std::lock_guard lock(mutex_);
        if (own_failure_ && !own_failure_->is_secondary())
            print_failure(fmt::format("[{}] {}", party_.members[own].place(), own_failure_->text));
    }
    if (silent && is_first_of_host(1)) end_processes_here({0});
    leave(told.exit_code);
}

// The one that speaks leaves first: a launcher that sees another leave would cut it short. Where its process
// can't be seen (a container of its own) the shortest time has to do.
void OtherRankLifeline::await_speaker() const {
    const Member& self = party_.members[static_cast<std::size_t>(own_rank())];
    std::size_t speaker = 1;
    while (party_.members[speaker].host != self.host || party_.members[speaker].machine != self.machine)
        ++speaker;
    const Member& other = party_.members[speaker];
    const auto begin = Clock::now();
    const auto passed = [&] { return Clock::now() - begin; };
    while (passed() < shortest_wait ||
           (passed() < longest_wait && is_running(static_cast<pid_t>(other.process), other.started))) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

}  // namespace terrane::comm
