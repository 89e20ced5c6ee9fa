#include "comm/first_rank_lifeline.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "comm/lifeline_messages.hpp"

namespace terrane::comm {

namespace {

// How long a failed rank waits to learn whether all others failed too before the job is ended; in that time
// the others also send their last collectives.
constexpr auto agreement_time = std::chrono::milliseconds(500);
// A launcher sees its ranks end, too; the exit code it reports should be that of the first.
constexpr auto launcher_time = std::chrono::milliseconds(100);

}  // namespace

FirstRankLifeline::FirstRankLifeline(Party party, FlightRecord& record, Launcher launcher,
                                     std::chrono::duration<double> silence_limit, LossPolicy policy)
    : Lifeline(std::move(party), record, launcher, silence_limit, std::move(policy)),
      peers_(party_.members.size()) {
    start();
}

FirstRankLifeline::~FirstRankLifeline() {
    stop();
}

void FirstRankLifeline::beat() {
    const std::string message = beat_message();
    for (net::Connection& link : party_.links) {
        // To a rank that takes nothing any more, beats would only pile up.
        if (link.is_open() && link.unsent() < 65536) link.send(message);
    }
}

void FirstRankLifeline::on_message(std::size_t link, const std::string& message) {
    Peer& peer = peers_[link];
    peer.heard = Clock::now();
    net::MessageReader reader(message);
    switch (reader.integer()) {
        case lifeline::beat:
            peer.evidence.state = lifeline::read_state(reader);
            break;
        case lifeline::report: {
            peer.evidence.state = lifeline::read_state(reader);
            const std::int64_t lines = reader.integer();
            peer.evidence.lines.clear();
            for (std::int64_t i = 0; i < lines && !reader.failed(); ++i)
                peer.evidence.lines.push_back(reader.text());
            peer.evidence.answered = true;
            break;
        }
        case lifeline::failed: {
            Failure failure;
            failure.exit_code = static_cast<int>(reader.integer());
            failure.number = static_cast<int>(reader.integer());
            failure.text = reader.text();
            peer.failure = failure;
            peer.failed_at = peer.heard;
            break;
        }
        case lifeline::goodbye:
            peer.said_goodbye = true;
            break;
        default:
            break;
    }
}

void FirstRankLifeline::on_closed(std::size_t link) {
    Peer& peer = peers_[link];
    if (!peer.said_goodbye && !agreed_ && minds_losses()) peer.evidence.gone = true;
    peer.said_goodbye = true;
}

void FirstRankLifeline::on_stall(Clock::duration lost) {
    for (Peer& peer : peers_) peer.heard += lost;
}

void FirstRankLifeline::on_turn(Clock::time_point now) {
    notice_own_failure();
    if (!agreed_) {
        notice_silence(now);
        consider_ending(now);
    }
    bool leaving = false;
    {
        const std::lock_guard lock(mutex_);
        leaving = leaving_;
    }
    const bool others_left =
        std::all_of(peers_.begin() + 1, peers_.end(), [](const Peer& peer) { return peer.said_goodbye; });
    if (!leaving || !others_left) return;
    const std::string message = lifeline::message(lifeline::goodbye).bytes();
    for (net::Connection& link : party_.links) {
        if (link.is_open() && link.send(message)) link.flush_until(now + std::chrono::seconds(1));
    }
    finished_ = true;
}

void FirstRankLifeline::notice_own_failure() {
    const std::lock_guard lock(mutex_);
    if (!own_failure_ || peers_[0].failure) return;
    peers_[0].failure = own_failure_;
    peers_[0].failed_at = Clock::now();
}

void FirstRankLifeline::notice_silence(Clock::time_point now) {
    if (!minds_losses()) return;
    for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
        Peer& peer = peers_[rank];
        if (party_.links[rank].is_open() && now - peer.heard > silence_limit()) peer.evidence.silent = true;
    }
}

bool FirstRankLifeline::any_lost() const {
    return std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) { return peer.lost(); });
}

bool FirstRankLifeline::all_failed() const {
    return std::all_of(peers_.begin(), peers_.end(),
                       [](const Peer& peer) { return peer.failure.has_value(); });
}

bool FirstRankLifeline::all_reported() const {
    return std::all_of(peers_.begin(), peers_.end(), [](const Peer& peer) {
        return peer.lost() || peer.said_goodbye || peer.evidence.answered;
    });
}

void FirstRankLifeline::begin_ending(Clock::time_point now) {
    ending_ = true;
    ending_since_ = now;
    const std::string message = lifeline::message(lifeline::ask).bytes();
    for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
        peers_[rank].evidence.answered = false;
        if (party_.links[rank].is_open()) party_.links[rank].send(message);
    }
}

void FirstRankLifeline::consider_ending(Clock::time_point now) {
    const bool any_failed =
        std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) { return peer.failure.has_value(); });
    if (!any_failed && !any_lost()) return;
    if (!ending_) begin_ending(now);
    const bool any_primary = std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) {
        return peer.failure && !peer.failure->is_secondary();
    });
    if (all_failed() && !any_lost() && any_primary) return agree();
    const bool in_time = now - ending_since_ < agreement_time;
    if (any_lost()) {
        if (in_time && !(all_reported() && now - ending_since_ > launcher_time)) return;
        end_with_loss(now);
    }
    if (in_time) return;
    if (any_primary) end_with_failures();
    end_with_stall(now);
}

// Every rank failed: each distinct error is printed once, and all leave with the first rank's code.
void FirstRankLifeline::agree() {
    agreed_ = true;
    const auto same = [this](std::size_t a, std::size_t b) {
        return peers_[a].failure->text == peers_[b].failure->text;
    };
    bool same_everywhere = true;
    for (std::size_t rank = 1; rank < peers_.size(); ++rank)
        same_everywhere = same_everywhere && same(0, rank);
    for (std::size_t rank = peers_.size(); rank-- > 0;) {
        std::size_t first = 0;
        while (!same(first, rank)) ++first;
        send_verdict(rank, {peers_[0].failure->exit_code, first == rank, !same_everywhere, false});
    }
}

void FirstRankLifeline::send_verdict(std::size_t rank, const Verdict& verdict) {
    if (rank == 0) return give_verdict(verdict);
    net::MessageWriter message = lifeline::message(lifeline::verdict);
    message.add(verdict.exit_code).add(verdict.print ? 1 : 0).add(verdict.place ? 1 : 0);
    party_.links[rank].send(message.add(verdict.leave ? 1 : 0).bytes());
}

std::vector<RankEvidence> FirstRankLifeline::evidence(Clock::time_point now) {
    peers_[0].evidence.state = own_state();
    peers_[0].evidence.lines = record_.lines();
    std::vector<RankEvidence> all;
    for (Peer& peer : peers_) {
        peer.evidence.unheard = std::chrono::duration<double>(now - peer.heard).count();
        all.push_back(peer.evidence);
    }
    return all;
}

void FirstRankLifeline::end_with_loss(Clock::time_point now) {
    const std::vector<RankEvidence> all = evidence(now);
    const Failure loss = explain_loss(party_.members, all, own_rank());
    std::string text = loss.text + keep_evidence(loss.text, party_.members, all);
    print_failure(text);
    for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
        const auto& failure = peers_[rank].failure;
        if (failure && !failure->is_secondary())
            print_failure(fmt::format("[{}] {}", party_.members[rank].place(), failure->text));
    }
    end_all(loss.exit_code);
}

void FirstRankLifeline::end_with_stall(Clock::time_point now) {
    const std::vector<RankEvidence> all = evidence(now);
    const Peer* first = nullptr;
    for (const Peer& peer : peers_) {
        if (peer.failure && (first == nullptr || peer.failed_at < first->failed_at)) first = &peer;
    }
    const Failure stall = explain_stall(party_.members, all, *first->failure);
    print_failure(stall.text + keep_evidence(stall.text, party_.members, all));
    end_all(stall.exit_code);
}

// Some ranks failed, the others go on or wait for them: those that failed say why, and all leave with the
// code of the one that failed first.
void FirstRankLifeline::end_with_failures() {
    std::vector<std::size_t> failed;
    for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
        if (peers_[rank].failure && !peers_[rank].failure->is_secondary()) failed.push_back(rank);
    }
    const std::size_t first = *std::min_element(
        failed.begin(), failed.end(),
        [this](std::size_t a, std::size_t b) { return peers_[a].failed_at < peers_[b].failed_at; });
    const int exit_code = peers_[first].failure->exit_code;
    for (const std::size_t rank : failed) {
        const bool printed_by_another = std::any_of(failed.begin(), failed.end(), [&](std::size_t other) {
            return other < rank && peers_[other].failure->text == peers_[rank].failure->text;
        });
        send_verdict(rank, {exit_code, !printed_by_another, true, true});
    }
    // They leave first, so that a launcher that ends the others doesn't cut them short.
    const auto deadline = Clock::now() + agreement_time;
    for (const std::size_t rank : failed) {
        if (rank == 0) {
            await_printed();
            continue;
        }
        net::Connection& link = party_.links[rank];
        while (link.is_open() && net::await_readable(link.descriptor(), deadline)) {
            if (!link.receive()) link.close();
        }
    }
    end_all(exit_code);
}

void FirstRankLifeline::end_all(int exit_code) {
    std::vector<int> lost;
    for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
        if (peers_[rank].evidence.silent || !peers_[rank].evidence.answered)
            lost.push_back(static_cast<int>(rank));
    }
    net::MessageWriter message = lifeline::message(lifeline::end);
    message.add(exit_code).add(static_cast<std::int64_t>(lost.size()));
    for (const int rank : lost) message.add(rank);
    for (net::Connection& link : party_.links) {
        if (link.is_open()) link.send(message.bytes());
    }
    const auto deadline = Clock::now() + agreement_time;
    for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
        if (party_.links[rank].is_open() && !peers_[rank].lost()) party_.links[rank].flush_until(deadline);
    }
    end_processes_here(lost);
    leave(exit_code);
}

}  // namespace terrane::comm
