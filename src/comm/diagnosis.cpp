#include "comm/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace terrane::comm {

namespace {

Failure failure(int number, const std::string& message, const std::string& fix) {
    const Error error(ExitCode::peer_lost, number, message, fix);
    return {static_cast<int>(ExitCode::peer_lost), number, error.what()};
}

std::string joined(const std::vector<std::string>& parts) {
    return fmt::format("{}", fmt::join(parts, "; "));
}

// The ranks that keep the others waiting, from the surest sign to the weakest.
std::vector<std::size_t> culprits(const std::vector<RankEvidence>& evidence) {
    std::vector<std::size_t> found;
    const auto pick = [&](auto is_one) {
        if (!found.empty()) return;
        for (std::size_t rank = 0; rank < evidence.size(); ++rank) {
            if (is_one(evidence[rank])) found.push_back(rank);
        }
        if (found.size() == evidence.size()) found.clear();  // a sign that all show tells nothing
    };
    std::int64_t furthest = 0;
    for (const RankEvidence& one : evidence) furthest = std::max(furthest, one.state.begun);
    pick([](const RankEvidence& one) { return !one.answered; });
    pick([&](const RankEvidence& one) { return one.state.begun < furthest && one.state.inside == 0; });
    pick([&](const RankEvidence& one) { return one.state.begun < furthest; });
    pick([](const RankEvidence& one) { return one.state.inside == 0; });
    return found;
}

}  // namespace

std::string describe(const RankState& state) {
    std::string text;
    if (state.inside != 0) {
        text = fmt::format("in '{}' (collective {}) for {:.1f} s", state.kind, state.inside, state.seconds);
    } else if (state.begun == 0) {
        text = fmt::format("computing for {:.1f} s, before the first collective", state.seconds);
    } else {
        text = fmt::format("computing for {:.1f} s since collective {}", state.seconds, state.begun);
    }
    if (state.step > 0) text += fmt::format(", step {}", state.step);
    if (!state.activity.empty()) text += ", " + state.activity;
    return text;
}

Failure explain_loss(const std::vector<Member>& members, const std::vector<RankEvidence>& evidence,
                     int self) {
    std::vector<std::string> gone, silent;
    for (std::size_t rank = 0; rank < members.size(); ++rank) {
        const RankEvidence& one = evidence[rank];
        const std::string who = fmt::format("{} (process {})", members[rank].place(), members[rank].process);
        const std::string last = fmt::format("it was last {}", describe(one.state));
        if (one.gone) gone.push_back(fmt::format("{} is gone, {}", who, last));
        if (one.silent)
            silent.push_back(fmt::format("{} has been silent for {:.1f} s, {}", who, one.unheard, last));
    }
    if (!gone.empty()) {
        return failure(803, joined(gone) + ".",
                       "It was killed, crashed or left without a word: look at its output and the kernel's "
                       "messages (memory?). Run the same command again to go on from the last checkpoint.");
    }
    return failure(
        804,
        fmt::format("{} (heard from {}).", joined(silent), members[static_cast<std::size_t>(self)].place()),
        "The process is stopped, its host is down or the network between the hosts is. "
        "--heartbeat-timeout sets the limit. Run the same command again to go on from the last "
        "checkpoint.");
}

Failure explain_stall(const std::vector<Member>& members, const std::vector<RankEvidence>& evidence,
                      const Failure& complaint) {
    std::vector<std::string> who;
    for (const std::size_t rank : culprits(evidence)) {
        who.push_back(fmt::format("{} (process {}) keeps the others waiting: it is {}{}",
                                  members[rank].place(), members[rank].process,
                                  evidence[rank].answered ? "alive and " : "not answering, last ",
                                  describe(evidence[rank].state)));
    }
    if (who.empty()) {
        who.push_back("all ranks take part and wait: the network between them doesn't carry it (rank 0 is " +
                      describe(evidence[0].state) + ")");
    }
    std::string text = complaint.text;
    // Before the advice, which begins the last sentences.
    const std::size_t advice = text.find(" Look ");
    const std::string said = text.substr(0, advice);
    Failure result = complaint;
    result.text =
        fmt::format("{} {}. Look at that rank's output and host; --collective-timeout sets the limit.", said,
                    joined(who));
    return result;
}

std::string format_evidence(const std::vector<Member>& members, const std::vector<RankEvidence>& evidence,
                            std::size_t lines_per_rank) {
    std::string text;
    for (std::size_t rank = 0; rank < members.size(); ++rank) {
        const RankEvidence& one = evidence[rank];
        text += fmt::format("{}, process {}: {}{}{}\n", members[rank].place(), members[rank].process,
                            one.gone     ? "gone, last "
                            : one.silent ? "silent, last "
                                         : "",
                            describe(one.state), one.answered ? "" : " (did not answer)");
        const std::size_t first = one.lines.size() - std::min(one.lines.size(), lines_per_rank);
        for (std::size_t i = first; i < one.lines.size(); ++i) text += "  " + one.lines[i] + "\n";
    }
    return text;
}

}  // namespace terrane::comm
