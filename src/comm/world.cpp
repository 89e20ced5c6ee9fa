#include "comm/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "comm/checked_communicator.hpp"
#include "comm/flight_record.hpp"
#include "comm/lifeline.hpp"
#include "comm/mpi_layer.hpp"
#include "comm/recorded_communicator.hpp"
#include "comm/tcp_communicator.hpp"
#include "comm/tcp_layer.hpp"

namespace terrane::comm {

namespace {

// Which network interfaces may be used, in the notation of NCCL, which reads it itself.
std::string interface_filter() {
    const auto filter = environment_variable("GLOO_SOCKET_IFNAME");
    return filter ? *filter : environment_variable("NCCL_SOCKET_IFNAME").value_or("");
}

constexpr std::chrono::duration<double> no_limit = std::chrono::hours(24 * 365);

bool same_machine(const Member& a, const Member& b) {
    return a.host == b.host && a.machine == b.machine;
}

}  // namespace

struct World::State {
    Launch launch;
    std::vector<Member> members;
    int rank = 0;
    std::vector<std::string> hosts;
    std::string master;

    // In the order in which they are made; they end the other way round.
    FlightRecord record;
    std::unique_ptr<MpiLayer> mpi;
    std::unique_ptr<TcpCommunicator> tcp;
    std::unique_ptr<Communicator> self;
    std::unique_ptr<CheckedCommunicator> checked;
    std::unique_ptr<RecordedCommunicator> recorded;
    std::unique_ptr<Lifeline> lifeline;
    LossResponse on_loss = LossResponse::abort_and_exit;
    std::atomic<bool> abandoned = false;

    /// From the lifeline's thread.
    void abandon_collectives() {
        abandoned = true;
        if (mpi) mpi->communicator().abandon();
        if (tcp) tcp->abandon();
    }

    /// What collectives go through before they reach the message layer.
    void connect(Communicator& inner, const WorldSettings& settings) {
        if (settings.check_collectives) checked = std::make_unique<CheckedCommunicator>(inner);
        recorded = std::make_unique<RecordedCommunicator>(
            checked ? static_cast<Communicator&>(*checked) : inner, record,
            settings.trace_collectives ? Trace::on : Trace::off);
    }
    const Member& member() const { return members[static_cast<std::size_t>(rank)]; }
    bool has_started_sums() const {
        return (mpi && mpi->communicator().has_started_sums()) || (tcp && tcp->has_started_sums());
    }
};

World::World(const Launch& launch, const WorldSettings& settings) : state_(std::make_unique<State>()) {
    State& state = *state_;
    state.launch = launch;
    state.on_loss = settings.on_loss;
    const Transport transport = transport_of(launch.launcher);
    Member self = this_process();
    self.local_rank = launch.local_rank;
    self.program = settings.program;
    if (transport == Transport::self) {
        state.self = self_communicator();
        state.hosts = {self.host};
        state.members = {std::move(self)};
        return;
    }

    if (transport == Transport::mpi) {
        state.mpi = std::make_unique<MpiLayer>(launch);
        self.rank = state.mpi->communicator().rank();
        self.size = state.mpi->communicator().size();
    } else {
        self.rank = launch.promised_rank;
        self.size = launch.promised_ranks;
    }
    state.rank = self.rank;

    Party party{.members = {self}};
    if (self.size > 1) {
        party = transport == Transport::mpi
                    ? state.mpi->meet(self, settings.collective_timeout, interface_filter())
                    : meet_over_tcp(launch, self, settings.collective_timeout, interface_filter());
    }
    state.members = party.members;
    for (const Member& member : state.members) state.hosts.push_back(member.host);

    if (transport == Transport::tcp && self.size > 1) {
        state.master = fmt::format(
            "{}:{}", launch.meeting_file.empty() ? launch.master_host : party.members[0].host,
            self.rank == 0 ? party.links[1].local_address().port() : party.links[0].peer_address().port());
        const auto deadline =
            net::Clock::now() + std::chrono::duration_cast<net::Clock::duration>(settings.collective_timeout);
        state.tcp = std::make_unique<TcpCommunicator>(
            self.rank, self.size, state.member().address, settings.collective_timeout,
            [&](const std::vector<std::string>& texts) { return party.exchange(texts, deadline); });
        state.connect(*state.tcp, settings);
    } else if (transport == Transport::tcp) {
        state.self = self_communicator();
    } else {
        state.connect(state.mpi->communicator(), settings);
    }
    state.lifeline =
        Lifeline::make(std::move(party), state.record, launch.launcher, settings.heartbeat_timeout,
                       {settings.on_loss, [&state] { state.abandon_collectives(); }});
    set_collective_timeout(settings.collective_timeout);
}

World::~World() = default;

const Launch& World::launch() const {
    return state_->launch;
}
int World::rank() const {
    return state_->rank;
}
int World::size() const {
    return static_cast<int>(state_->members.size());
}
int World::local_rank() const {
    const Member& self = state_->member();
    if (self.local_rank >= 0) return self.local_rank;
    return static_cast<int>(std::count_if(state_->members.begin(), state_->members.begin() + state_->rank,
                                          [&](const Member& other) { return same_machine(other, self); }));
}
int World::local_size() const {
    const Member& self = state_->member();
    return static_cast<int>(std::count_if(state_->members.begin(), state_->members.end(),
                                          [&](const Member& other) { return same_machine(other, self); }));
}
const std::string& World::host() const {
    return state_->member().host;
}
const std::vector<std::string>& World::hosts() const {
    return state_->hosts;
}
int World::nodes() const {
    std::set<std::pair<std::string, std::string>> machines;
    for (const Member& member : state_->members) machines.emplace(member.host, member.machine);
    return static_cast<int>(machines.size());
}
std::string World::library() const {
    if (state_->mpi) return MpiLayer::library();
    return state_->tcp ? TcpCommunicator::library() : "no MPI";
}
std::string World::master() const {
    return state_->master;
}

Communicator& World::communicator() {
    return state_->recorded ? static_cast<Communicator&>(*state_->recorded) : *state_->self;
}

std::vector<std::string> World::all_gather_on_host(const std::string& bytes) {
    if (size() == 1) return {bytes};
    const std::vector<std::string> all = communicator().all_gather(bytes);
    std::vector<std::string> here;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        if (same_machine(state_->members[rank], state_->member())) here.push_back(all[rank]);
    }
    return here;
}

void World::set_collective_timeout(std::chrono::duration<double> limit) {
    if (state_->on_loss == LossResponse::none) limit = no_limit;
    if (state_->mpi) state_->mpi->communicator().set_timeout(limit);
    if (state_->tcp) state_->tcp->set_timeout(limit);
}

void World::set_heartbeat_timeout(std::chrono::duration<double> limit) {
    if (state_->lifeline) state_->lifeline->set_silence_limit(limit);
}

void World::set_others_work(const std::function<bool()>& others_work) {
    if (state_->mpi) state_->mpi->communicator().set_others_work(others_work);
    if (state_->tcp) state_->tcp->set_others_work(others_work);
}

void World::set_report_folder(const std::filesystem::path& folder) {
    if (state_->lifeline) state_->lifeline->set_report_folder(folder);
}

void World::set_step(std::int64_t step) {
    state_->record.set_step(step);
}

void World::set_activity(std::function<std::string()> activity) {
    if (state_->lifeline) state_->lifeline->set_activity(std::move(activity));
}

device::SumListener& World::sum_listener() {
    return state_->record;
}

void World::set_last_act(std::function<void()> last_act) {
    if (state_->lifeline) state_->lifeline->set_last_act(std::move(last_act));
}

LossResponse World::on_loss() const {
    return state_->on_loss;
}

Traffic World::traffic() const {
    return state_->record.traffic();
}

double World::waited() const {
    return state_->record.waited();
}

int World::fail(const std::exception_ptr& exception) {
    State& state = *state_;
    const Failure failure = describe_failure(exception);
    if (!state.lifeline || size() == 1) {
        log::write(log::Level::error, failure.text);
        return failure.exit_code;
    }
    const Verdict verdict = state.lifeline->report(failure);
    if (verdict.print) {
        print_failure(verdict.place ? fmt::format("[{}] {}", state.member().place(), failure.text)
                                    : failure.text);
    }
    std::fflush(nullptr);
    // mpirun ends the other ranks as soon as one is gone; they have said what there was to say.
    signals::leaving_with(verdict.exit_code);
    if (verdict.leave) state.lifeline->printed();
    // Sums under way, or a rank that is no more, would keep the message layer from ending in order.
    if (state.has_started_sums() || state.abandoned) std::_Exit(verdict.exit_code);
    return verdict.exit_code;
}

void World::require_equal(const std::string& what, const std::string& fingerprint) {
    if (size() == 1) return;
    const std::vector<std::string> all = communicator().all_gather(fingerprint);
    std::vector<std::string> different;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        if (all[rank] != all[0]) different.push_back(fmt::format("{} on {}", rank, hosts()[rank]));
    }
    if (different.empty()) return;
    throw Error(ExitCode::device_unavailable, 121,
                fmt::format("the {} differs between rank 0 on {} and rank {}.", what, hosts()[0],
                            fmt::join(different, ", rank ")),
                "Start the same program with the same arguments on every rank.");
}

}  // namespace terrane::comm
