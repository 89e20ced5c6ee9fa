#include "comm/lifeline.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "comm/all_signals_blocked.hpp"
#include "comm/first_rank_lifeline.hpp"
#include "comm/lifeline_messages.hpp"
#include "comm/other_rank_lifeline.hpp"

namespace terrane::comm {

namespace {

// Ten beats within the limit; often enough that a launcher without a handle is watched, too.
std::chrono::milliseconds beat_interval(std::chrono::duration<double> limit) {
    const auto tenth = std::chrono::duration_cast<std::chrono::milliseconds>(limit / 10);
    return std::clamp(tenth, std::chrono::milliseconds(20), std::chrono::milliseconds(1000));
}

constexpr auto last_act_time = std::chrono::seconds(1);

// Standard error must not become a log of its own.
constexpr std::size_t lines_on_terminal = 5;

}  // namespace

std::unique_ptr<Lifeline> Lifeline::make(Party party, FlightRecord& record, Launcher launcher,
                                         std::chrono::duration<double> silence_limit, LossPolicy policy) {
    if (party.rank == 0) {
        return std::make_unique<FirstRankLifeline>(std::move(party), record, launcher, silence_limit,
                                                   std::move(policy));
    }
    return std::make_unique<OtherRankLifeline>(std::move(party), record, launcher, silence_limit,
                                               std::move(policy));
}

Lifeline::Lifeline(Party party, FlightRecord& record, Launcher launcher,
                   std::chrono::duration<double> silence_limit, LossPolicy policy)
    : party_(std::move(party)),
      record_(record),
      policy_(std::move(policy)),
      launcher_(launcher),
      silence_limit_(silence_limit.count()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Lifeline::start() {
    const AllSignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
}

void Lifeline::stop() {
    {
        const std::lock_guard lock(mutex_);
        leaving_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
}

void Lifeline::wake() {
    const std::uint64_t one = 1;
    // It fails only if the counter is full, and then the thread is awake already.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void Lifeline::run() {
    auto last_turn = Clock::now();
    auto next_beat = last_turn;
    try {
        while (!finished_) turn(last_turn, next_beat);
    } catch (const ThreadEnds&) {
        // The rank's main thread ends the process once its work is unwound.
    }
}

void Lifeline::turn(Clock::time_point& last_turn, Clock::time_point& next_beat) {
    const auto interval = beat_interval(silence_limit());
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}, {launcher_.descriptor(), POLLIN, 0}};
    for (const net::Connection& link : party_.links) entries.push_back({link.descriptor(), POLLIN, 0});
    // Twice as often as beats are due, so that none is late by much.
    ::poll(entries.data(), entries.size(), static_cast<int>(interval.count()) / 2);
    std::uint64_t ignored = 0;
    [[maybe_unused]] const ssize_t read = ::read(wake_.get(), &ignored, sizeof ignored);

    const auto now = Clock::now();
    const auto gap = now - last_turn;
    if (gap > 2 * interval) on_stall(gap);
    last_turn = now;
    if ((entries[1].revents & POLLIN) != 0 || launcher_.descriptor() < 0) watch_launcher();

    for (std::size_t i = 0; i < party_.links.size(); ++i) {
        net::Connection& link = party_.links[i];
        if (!link.is_open()) continue;
        const bool open = link.flush() && link.receive();
        while (const auto message = link.next_message()) on_message(i, *message);
        if (!open || !link.is_open()) {
            link.close();
            on_closed(i);
        }
    }
    if (now >= next_beat) {
        beat();
        next_beat = now + interval;
    }
    on_turn(now);
}

void Lifeline::watch_launcher() {
    if (!launcher_.is_gone()) return;
    const Error error(ExitCode::peer_lost, 805,
                      fmt::format("the launcher, {}, is gone; the ranks on {} end.", launcher_.describe(),
                                  party_.members[static_cast<std::size_t>(own_rank())].host),
                      "Run the same command again to go on from the last checkpoint.");
    if (is_first_of_host(0)) print_failure(error.what());
    leave(static_cast<int>(error.exit_code()));
}

Verdict Lifeline::report(const Failure& failure) {
    std::unique_lock lock(mutex_);
    own_failure_ = failure;
    wake();
    changed_.wait(lock, [this] { return verdict_.has_value(); });
    return *verdict_;
}

void Lifeline::printed() {
    {
        const std::lock_guard lock(mutex_);
        printed_ = true;
    }
    changed_.notify_all();
    if (policy_.response == LossResponse::abort) {
        if (thread_.joinable()) thread_.join();  // it tells the others first
        return;
    }
    for (;;) ::pause();  // the thread ends the process
}

void Lifeline::set_report_folder(const std::filesystem::path& folder) {
    const std::lock_guard lock(mutex_);
    report_folder_ = folder;
}

void Lifeline::set_activity(std::function<std::string()> activity) {
    const std::lock_guard lock(mutex_);
    activity_ = std::move(activity);
}

void Lifeline::set_last_act(std::function<void()> last_act) {
    const std::lock_guard lock(mutex_);
    last_act_ = std::move(last_act);
}

bool Lifeline::is_first_of_host(int from_rank) const {
    const Member& self = party_.members[static_cast<std::size_t>(own_rank())];
    for (int rank = from_rank; rank < own_rank(); ++rank) {
        const Member& other = party_.members[static_cast<std::size_t>(rank)];
        if (other.host == self.host && other.machine == self.machine) return false;
    }
    return true;
}

RankState Lifeline::own_state() {
    RankState state = record_.state();
    const std::lock_guard lock(mutex_);
    if (activity_) state.activity = activity_();
    return state;
}

std::string Lifeline::beat_message() {
    net::MessageWriter message = lifeline::message(lifeline::beat);
    lifeline::add(message, own_state());
    return message.bytes();
}

std::string Lifeline::report_message() {
    net::MessageWriter message = lifeline::message(lifeline::report);
    lifeline::add(message, own_state());
    const std::vector<std::string> lines = record_.lines();
    message.add(static_cast<std::int64_t>(lines.size()));
    for (const std::string& line : lines) message.add(line);
    return message.bytes();
}

void Lifeline::give_verdict(const Verdict& verdict) {
    {
        const std::lock_guard lock(mutex_);
        verdict_ = verdict;
    }
    changed_.notify_all();
}

void Lifeline::await_printed() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(2), [this] { return printed_; });
}

std::string Lifeline::keep_evidence(const std::string& text, const std::vector<Member>& members,
                                    const std::vector<RankEvidence>& evidence) {
    std::filesystem::path folder;
    {
        const std::lock_guard lock(mutex_);
        folder = report_folder_;
    }
    std::error_code missing;
    if (!folder.empty() && std::filesystem::is_directory(folder, missing)) {
        const std::filesystem::path file = folder / fmt::format("last_collectives_rank_{}.txt", own_rank());
        try {
            write_file_atomically(file,
                                  text + "\n\n" + format_evidence(members, evidence, FlightRecord::kept));
            return fmt::format(" The last collectives of every rank are in {}.", file.string());
        } catch (const Error&) {
            // A full disk must not keep the job from ending; standard error takes it instead.
        }
    }
    return "\n" + format_evidence(members, evidence, lines_on_terminal);
}

void Lifeline::end_processes_here(const std::vector<int>& ranks) {
    const Member& self = party_.members[static_cast<std::size_t>(own_rank())];
    for (const int rank : ranks) {
        const Member& other = party_.members[static_cast<std::size_t>(rank)];
        if (rank != own_rank() && other.host == self.host && other.machine == self.machine)
            end_process(static_cast<pid_t>(other.process), other.started);
    }
}

void Lifeline::leave(int exit_code) {
    std::function<void()> last_act;
    {
        const std::lock_guard lock(mutex_);
        last_act = last_act_;
    }
    if (last_act && policy_.response != LossResponse::exit) {
        const auto done = std::make_shared<std::promise<void>>();
        std::future<void> waited = done->get_future();
        std::thread([last_act, done] {
            last_act();
            done->set_value();
        }).detach();
        waited.wait_for(last_act_time);
    }
    if (policy_.response == LossResponse::abort) {
        policy_.abandon_collectives();
        give_verdict({exit_code, false, false, false});
        throw ThreadEnds{};
    }
    // Neither destructors nor buffers: the main thread may hold any lock.
    ::_exit(exit_code);
}

}  // namespace terrane::comm
