#include "comm/world.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/philox.hpp"
#include "comm/mpi_check.hpp"
#include "comm/mpi_communicator.hpp"

namespace terrane::comm {

namespace {

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown-host";
    return name.data();
}

std::string mpi_library() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "MPI of unknown version";
    std::string version(text.data(), static_cast<std::size_t>(length));
    version = version.substr(0, version.find_first_of(",\n"));
    if (version.starts_with("Open MPI v")) version.erase(9, 1);
    return version;
}

// How long a failed rank waits to learn whether all others failed too before it ends the job.
constexpr auto agreement_time = std::chrono::milliseconds(500);

}  // namespace

void mpi_failed(const char* expression, int code) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
    throw Error(
        ExitCode::peer_lost, 801,
        fmt::format("{} failed: {}.", expression, std::string(text.data(), static_cast<std::size_t>(length))),
        "Look for the first error in the log files of the other ranks.");
}

Failure describe_failure(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const Error& error) {
        return {static_cast<int>(error.exit_code()), error.what()};
    } catch (const std::bad_alloc&) {
        return {static_cast<int>(ExitCode::internal),
                "error[E0002]: out of memory. Lower train.batch, predict.batch or --ram, or use fewer ranks "
                "per node."};
    } catch (const std::exception& error) {
        return {static_cast<int>(ExitCode::internal),
                fmt::format(
                    "error[E0001]: internal error: {}. This is a bug in terrane: please report it with the "
                    "command and the configuration.",
                    error.what())};
    } catch (...) {
        return {static_cast<int>(ExitCode::internal), "error[E0001]: internal error of an unknown kind."};
    }
}

struct World::State {
    Launch launch;
    bool initialised = false;
    int rank = 0;
    int size = 1;
    int local_rank = 0;
    int local_size = 1;
    std::string host = host_name();
    std::vector<std::string> hosts{host};
    MPI_Comm failure = MPI_COMM_NULL;  // used by fail() only
    std::unique_ptr<MpiCommunicator> mpi;
    std::unique_ptr<MpiCommunicator> node;
    std::unique_ptr<Communicator> self = self_communicator();
};

World::World(const Launch& launch) : state_(std::make_unique<State>()) {
    State& state = *state_;
    state.launch = launch;
    if (launch.launcher == Launcher::none) return;

    int provided = MPI_THREAD_SINGLE;
    int running = 0;
    MPI_Initialized(&running);
    if (running == 0) {
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
        state.initialised = true;
    } else {
        MPI_Query_thread(&provided);
    }
    // Without this every failing call would end the process before any of our checks sees its code.
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    TERRANE_MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &state.rank));
    TERRANE_MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &state.size));
    TERRANE_MPI_CHECK(MPI_Comm_dup(MPI_COMM_WORLD, &state.failure));
    state.mpi = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD);

    MPI_Comm node = MPI_COMM_NULL;
    TERRANE_MPI_CHECK(
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, state.rank, MPI_INFO_NULL, &node));
    state.node = std::make_unique<MpiCommunicator>(node);
    TERRANE_MPI_CHECK(MPI_Comm_free(&node));
    state.local_rank = state.node->rank();
    state.local_size = state.node->size();
    state.hosts = state.mpi->all_gather(state.host);
}

World::~World() {
    State& state = *state_;
    if (state.mpi == nullptr) return;
    int finalized = 0;
    if (MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;  // who called MPI_Init did it
    state.node->close();
    state.mpi->close();
    MPI_Comm_free(&state.failure);
    if (state.initialised && MPI_Finalize() != MPI_SUCCESS)
        std::fputs("warning: MPI_Finalize failed\n", stderr);
}

const Launch& World::launch() const {
    return state_->launch;
}
int World::rank() const {
    return state_->rank;
}
int World::size() const {
    return state_->size;
}
int World::local_rank() const {
    return state_->local_rank;
}
int World::local_size() const {
    return state_->local_size;
}
const std::string& World::host() const {
    return state_->host;
}
const std::vector<std::string>& World::hosts() const {
    return state_->hosts;
}
int World::nodes() const {
    return static_cast<int>(std::set<std::string>(state_->hosts.begin(), state_->hosts.end()).size());
}
std::string World::library() const {
    return state_->mpi == nullptr ? "no MPI" : mpi_library();
}

Communicator& World::communicator() {
    return state_->mpi == nullptr ? *state_->self : static_cast<Communicator&>(*state_->mpi);
}

std::vector<std::string> World::all_gather_on_host(const std::string& bytes) {
    return state_->node == nullptr ? std::vector<std::string>{bytes} : state_->node->all_gather(bytes);
}

void World::set_collective_timeout(std::chrono::duration<double> limit) {
    if (state_->mpi == nullptr) return;
    state_->mpi->set_timeout(limit);
    state_->node->set_timeout(limit);
}

void World::set_others_work(const std::function<bool()>& others_work) {
    if (state_->mpi == nullptr) return;
    state_->mpi->set_others_work(others_work);
    state_->node->set_others_work(others_work);
}

int World::fail(const std::exception_ptr& exception) {
    State& state = *state_;
    const Failure failure = describe_failure(exception);
    if (state.mpi == nullptr || state.size == 1) {
        log::write(log::Level::error, failure.text);
        return failure.exit_code;
    }

    struct Report {
        std::uint64_t text;
        std::uint64_t exit_code;
    };
    const Report own{stream_of(failure.text), static_cast<std::uint64_t>(failure.exit_code)};
    std::vector<Report> reports(static_cast<std::size_t>(state.size));
    MPI_Request request = MPI_REQUEST_NULL;
    int all_failed = 0;
    if (MPI_Iallgather(&own, 2, MPI_UINT64_T, reports.data(), 2, MPI_UINT64_T, state.failure, &request) ==
        MPI_SUCCESS) {
        const auto deadline = std::chrono::steady_clock::now() + agreement_time;
        while (all_failed == 0 && std::chrono::steady_clock::now() < deadline) {
            if (MPI_Test(&request, &all_failed, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
            if (all_failed == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }

    const auto same_text = [&](const Report& report) { return report.text == own.text; };
    const bool same_everywhere = all_failed != 0 && std::all_of(reports.begin(), reports.end(), same_text);
    const bool first_with_it = all_failed == 0 || std::find_if(reports.begin(), reports.end(), same_text) ==
                                                      reports.begin() + state.rank;
    if (first_with_it) {
        log::Settings settings = log::settings();
        const log::Settings before = settings;
        settings.ranks = 1;  // the place is named here, with the host
        log::configure(settings);
        log::write(log::Level::error,
                   same_everywhere ? failure.text
                                   : fmt::format("[rank {} on {}] {}", state.rank, state.host, failure.text));
        log::configure(before);
    }
    if (all_failed == 0 || state.mpi->has_started_sums()) {
        std::fflush(nullptr);
        MPI_Abort(MPI_COMM_WORLD, failure.exit_code);
        std::_Exit(failure.exit_code);
    }
    return static_cast<int>(reports.front().exit_code);
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
