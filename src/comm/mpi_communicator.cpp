#include "comm/mpi_communicator.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <thread>

#include "base/error.hpp"
#include "comm/abandoned.hpp"
#include "comm/mpi_check.hpp"

namespace terrane::comm {

namespace {

// MPI counts are int; longer texts travel in pieces of this many bytes.
constexpr std::size_t largest_piece = std::size_t{1} << 30;

// Long sums travel in pieces of this many elements, all under way together: their transfers and additions
// overlap, which Open MPI's non-blocking collectives don't do within one call.
constexpr std::size_t reduction_piece = std::size_t{1} << 18;

// A waiting rank first spins (microseconds count in a training step), then lets others run, then sleeps.
// Counted in time, not in polls: where ranks outnumber cores, Open MPI gives the core away within each poll,
// and a thousand of them can take a minute.
constexpr auto time_before_yield = std::chrono::microseconds(500);
constexpr auto time_before_sleep = std::chrono::milliseconds(100);

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm parent) {
    TERRANE_MPI_CHECK(MPI_Comm_dup(parent, &general_));
    TERRANE_MPI_CHECK(MPI_Comm_dup(parent, &buckets_));
    TERRANE_MPI_CHECK(MPI_Comm_rank(general_, &rank_));
    TERRANE_MPI_CHECK(MPI_Comm_size(general_, &size_));
}

void MpiCommunicator::close() {
    MPI_Comm_free(&buckets_);
    MPI_Comm_free(&general_);
}

void MpiCommunicator::complete(std::span<MPI_Request> requests, const char* what) {
    const auto begin = std::chrono::steady_clock::now();
    auto start = begin;
    for (;;) {
        int done = 0;
        TERRANE_MPI_CHECK(
            MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE));
        if (done != 0) return;
        if (abandoned_) throw_abandoned(what);
        const auto now = std::chrono::steady_clock::now();
        if (now - start > timeout_) {
            if (others_work_ && others_work_()) {
                start = std::chrono::steady_clock::now();
                continue;
            }
            throw Error(
                ExitCode::peer_lost, 802,
                fmt::format("a rank did not take part in '{}' within {:g} s.", what, timeout_.count()),
                "Look at the log files of the other ranks; --collective-timeout sets the limit.");
        }
        if (now - begin < time_before_yield) continue;
        if (now - begin < time_before_sleep) {
            ::sched_yield();
        } else {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }
}

template <typename T>
void MpiCommunicator::start_reduction(std::span<T> values, MPI_Datatype type, MPI_Op op, MPI_Comm group,
                                      std::vector<MPI_Request>& requests) {
    requests.clear();
    do {
        const std::size_t piece = std::min(values.size(), reduction_piece);
        MPI_Request request = MPI_REQUEST_NULL;
        TERRANE_MPI_CHECK(
            MPI_Iallreduce(MPI_IN_PLACE, values.data(), static_cast<int>(piece), type, op, group, &request));
        requests.push_back(request);
        values = values.subspan(piece);
    } while (!values.empty());
}

template <typename T>
void MpiCommunicator::reduce(std::span<T> values, MPI_Datatype type, MPI_Op op, const char* what) {
    start_reduction(values, type, op, general_, requests_);
    complete(requests_, what);
}

void MpiCommunicator::sum(std::span<float> values) {
    reduce(values, MPI_FLOAT, MPI_SUM, "sum of floats");
}
void MpiCommunicator::sum(std::span<double> values) {
    reduce(values, MPI_DOUBLE, MPI_SUM, "sum of doubles");
}
void MpiCommunicator::sum(std::span<std::int64_t> values) {
    reduce(values, MPI_INT64_T, MPI_SUM, "sum of integers");
}
void MpiCommunicator::max(std::span<double> values) {
    reduce(values, MPI_DOUBLE, MPI_MAX, "maximum of doubles");
}
void MpiCommunicator::max(std::span<std::int64_t> values) {
    reduce(values, MPI_INT64_T, MPI_MAX, "maximum of integers");
}

device::Collectives::Ticket MpiCommunicator::start_sum(std::span<float> values) {
    auto slot =
        std::find_if(started_.begin(), started_.end(), [](const Started& one) { return one.ticket == 0; });
    if (slot == started_.end()) slot = started_.emplace(started_.end());
    start_reduction(values, MPI_FLOAT, MPI_SUM, buckets_, slot->requests);
    slot->ticket = next_ticket_++;
    return slot->ticket;
}

void MpiCommunicator::wait(Ticket ticket) {
    const auto slot = std::find_if(started_.begin(), started_.end(),
                                   [ticket](const Started& one) { return one.ticket == ticket; });
    TERRANE_ASSERT(ticket != 0 && slot != started_.end(),
                   "ticket {} was never given out or was waited for before", ticket);
    complete(slot->requests, "sum of a gradient bucket");
    slot->ticket = 0;
}

bool MpiCommunicator::has_started_sums() const {
    return std::any_of(started_.begin(), started_.end(), [](const Started& one) { return one.ticket != 0; });
}

void MpiCommunicator::broadcast(std::string& bytes, int root) {
    std::int64_t length = static_cast<std::int64_t>(bytes.size());
    MPI_Request request = MPI_REQUEST_NULL;
    TERRANE_MPI_CHECK(MPI_Ibcast(&length, 1, MPI_INT64_T, root, general_, &request));
    complete({&request, 1}, "broadcast");
    bytes.resize(static_cast<std::size_t>(length));
    for (std::size_t sent = 0; sent < bytes.size(); sent += largest_piece) {
        const std::size_t piece = std::min(bytes.size() - sent, largest_piece);
        TERRANE_MPI_CHECK(
            MPI_Ibcast(bytes.data() + sent, static_cast<int>(piece), MPI_BYTE, root, general_, &request));
        complete({&request, 1}, "broadcast");
    }
}

std::vector<std::string> MpiCommunicator::all_gather(const std::string& bytes) {
    std::vector<std::string> texts(static_cast<std::size_t>(size_));
    texts[static_cast<std::size_t>(rank_)] = bytes;
    for (int root = 0; root < size_; ++root) broadcast(texts[static_cast<std::size_t>(root)], root);
    return texts;
}

std::vector<std::string> MpiCommunicator::gather(const std::string& bytes, int root) {
    std::vector<std::int64_t> lengths(static_cast<std::size_t>(size_));
    const std::int64_t length = static_cast<std::int64_t>(bytes.size());
    MPI_Request request = MPI_REQUEST_NULL;
    TERRANE_MPI_CHECK(
        MPI_Igather(&length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, root, general_, &request));
    complete({&request, 1}, "gather");
    // Messages between one pair of ranks keep their order, so one tag serves all pieces.
    constexpr int tag = 1;
    if (rank_ != root) {
        for (std::size_t sent = 0; sent < bytes.size(); sent += largest_piece) {
            const std::size_t piece = std::min(bytes.size() - sent, largest_piece);
            TERRANE_MPI_CHECK(MPI_Isend(bytes.data() + sent, static_cast<int>(piece), MPI_BYTE, root, tag,
                                        general_, &request));
            complete({&request, 1}, "gather");
        }
        return {};
    }
    std::vector<std::string> texts(static_cast<std::size_t>(size_));
    for (int source = 0; source < size_; ++source) {
        std::string& text = texts[static_cast<std::size_t>(source)];
        if (source == root) {
            text = bytes;
            continue;
        }
        text.resize(static_cast<std::size_t>(lengths[static_cast<std::size_t>(source)]));
        for (std::size_t received = 0; received < text.size(); received += largest_piece) {
            const std::size_t piece = std::min(text.size() - received, largest_piece);
            TERRANE_MPI_CHECK(MPI_Irecv(text.data() + received, static_cast<int>(piece), MPI_BYTE, source,
                                        tag, general_, &request));
            complete({&request, 1}, "gather");
        }
    }
    return texts;
}

void MpiCommunicator::exchange_with(int partner, std::span<const float> own, std::span<float> theirs) {
    TERRANE_ASSERT(own.size() == theirs.size(), "{} values against {}", own.size(), theirs.size());
    constexpr std::size_t piece_length = std::size_t{1} << 20;
    constexpr int tag = 2;
    while (!own.empty()) {
        const std::size_t piece = std::min(own.size(), piece_length);
        requests_.assign(2, MPI_REQUEST_NULL);
        TERRANE_MPI_CHECK(MPI_Irecv(theirs.data(), static_cast<int>(piece), MPI_FLOAT, partner, tag, general_,
                                    &requests_[0]));
        TERRANE_MPI_CHECK(
            MPI_Isend(own.data(), static_cast<int>(piece), MPI_FLOAT, partner, tag, general_, &requests_[1]));
        complete(requests_, "exchange with a rank");
        own = own.subspan(piece);
        theirs = theirs.subspan(piece);
    }
}

void MpiCommunicator::barrier() {
    MPI_Request request = MPI_REQUEST_NULL;
    TERRANE_MPI_CHECK(MPI_Ibarrier(general_, &request));
    complete({&request, 1}, "barrier");
}

}  // namespace terrane::comm
