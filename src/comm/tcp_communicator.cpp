#include "comm/tcp_communicator.hpp"

#include <fmt/format.h>
#include <gloo/allgather.h>
#include <gloo/allgatherv.h>
#include <gloo/allreduce.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/common/error.h>
#include <gloo/config.h>
#include <gloo/context.h>
#include <gloo/transport/context.h>
#include <gloo/transport/device.h>
#include <gloo/transport/pair.h>
#include <gloo/transport/tcp/device.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.hpp"
#include "comm/abandoned.hpp"
#include "comm/all_signals_blocked.hpp"

namespace terrane::comm {

namespace {

// Gloo's own time limits end connections for good; ours is kept by the caller, who may go on waiting.
constexpr auto never = std::chrono::hours(24 * 365);
// Whether the collectives are called off is asked so often.
constexpr auto between_questions = std::chrono::milliseconds(50);

[[noreturn]] void tcp_failed(const std::string& what, const std::exception& failure) {
    // Gloo puts the place in its own source before the reason.
    std::string reason = failure.what();
    if (reason.starts_with('[')) {
        if (const std::size_t end = reason.find("] "); end != std::string::npos)
            reason = reason.substr(end + 2);
    }
    while (!reason.empty() && (reason.back() == '.' || reason.back() == '\n')) reason.pop_back();
    throw Error(ExitCode::peer_lost, 801, fmt::format("'{}' failed: {}.", what, reason),
                "Look for the first error in the log files of the other ranks.");
}

}  // namespace

/// The connections between all ranks.
class TcpCommunicator::Mesh final : public gloo::Context {
  public:
    Mesh(int own_rank, int ranks, const std::string& address, std::chrono::duration<double> timeout,
         const Exchange& exchange)
        : gloo::Context(own_rank, ranks) {
        gloo::transport::tcp::attr attributes;
        attributes.hostname = address;
        device_ = gloo::transport::tcp::CreateDevice(attributes);
        transportContext_ = device_->createContext(rank, size);
        transportContext_->setTimeout(std::chrono::ceil<std::chrono::milliseconds>(timeout));
        std::vector<std::string> own(static_cast<std::size_t>(size));
        for (int other = 0; other < size; ++other) {
            if (other == rank) continue;
            const std::vector<char> bytes = transportContext_->createPair(other)->address().bytes();
            own[static_cast<std::size_t>(other)].assign(bytes.begin(), bytes.end());
        }
        const std::vector<std::string> theirs = exchange(own);
        for (int other = 0; other < size; ++other) {
            if (other == rank) continue;
            const std::string& bytes = theirs.at(static_cast<std::size_t>(other));
            transportContext_->getPair(other)->connect(std::vector<char>(bytes.begin(), bytes.end()));
        }
        transportContext_->setTimeout(never);
        setTimeout(never);
    }

    template <typename T, typename Operation>
    void reduce(std::span<T> values, std::uint32_t tag, Operation operation) {
        if (values.empty()) return;
        gloo::AllreduceOptions options(shared());
        options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);  // its order of additions is fixed
        options.setOutput(values.data(), values.size());
        options.setReduceFunction([operation](void* to, const void* a, const void* b, std::size_t count) {
            for (std::size_t i = 0; i < count; ++i)
                static_cast<T*>(to)[i] = operation(static_cast<const T*>(a)[i], static_cast<const T*>(b)[i]);
        });
        options.setTag(tag);
        gloo::allreduce(options);
    }

    void broadcast(char* bytes, std::size_t count, int root, std::uint32_t tag) {
        if (count == 0) return;
        gloo::BroadcastOptions options(shared());
        options.setOutput(bytes, count);
        options.setRoot(root);
        options.setTag(tag);
        gloo::broadcast(options);
    }

    std::vector<std::size_t> lengths(std::size_t own, std::uint32_t tag) {
        std::int64_t length = static_cast<std::int64_t>(own);
        std::vector<std::int64_t> all(static_cast<std::size_t>(size));
        gloo::AllgatherOptions options(shared());
        options.setInput(&length, 1);
        options.setOutput(all.data(), all.size());
        options.setTag(tag);
        gloo::allgather(options);
        return {all.begin(), all.end()};
    }

    void all_gather(const std::string& own, std::string& all, const std::vector<std::size_t>& counts,
                    std::uint32_t tag) {
        gloo::AllgathervOptions options(shared());
        std::string copy = own;
        options.setInput(copy.data(), copy.size());
        options.setOutput(all.data(), counts);
        options.setTag(tag);
        gloo::allgatherv(options);
    }

    /// The number-th exchange between the two.
    void exchange(int partner, std::vector<float>& own, std::vector<float>& theirs, std::uint32_t number) {
        const auto out = createUnboundBuffer(own.data(), own.size() * sizeof(float));
        const auto in = createUnboundBuffer(theirs.data(), theirs.size() * sizeof(float));
        in->recv(partner, (std::uint64_t{0x7d} << 56) | number);
        out->send(partner, (std::uint64_t{0x7d} << 56) | number);
        out->waitSend();
        in->waitRecv();
    }

    void send(std::string bytes, int to, std::uint32_t tag) {
        const auto buffer = createUnboundBuffer(bytes.data(), bytes.size());
        buffer->send(to, slot(tag));
        buffer->waitSend();
    }
    void receive(std::string& bytes, int from, std::uint32_t tag) {
        const auto buffer = createUnboundBuffer(bytes.data(), bytes.size());
        buffer->recv(from, slot(tag));
        buffer->waitRecv();
    }

    void barrier(std::uint32_t tag) {
        gloo::BarrierOptions options(shared());
        options.setTag(tag);
        gloo::barrier(options);
    }

    void set_self(const std::shared_ptr<Mesh>& self) { self_ = self; }

  private:
    std::shared_ptr<gloo::Context> shared() { return self_.lock(); }
    // Gloo's own operations number theirs from other first bytes.
    static std::uint64_t slot(std::uint32_t tag) { return (std::uint64_t{0x7e} << 56) | tag; }

    std::weak_ptr<Mesh> self_;
};

/// A thread that does one collective after the other.
class TcpCommunicator::Lane {
  public:
    using Work = std::function<void(Mesh&, std::uint32_t tag)>;

    /// The tags of two lanes of one mesh have to differ: `first_tag` is 0 or 1.
    Lane(std::shared_ptr<Mesh> mesh, std::uint32_t first_tag)
        : mesh_(std::move(mesh)), tag_(first_tag), thread_([this] { work(); }) {}

    /// Only of an idle lane.
    ~Lane() {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    std::int64_t post(Work work) {
        std::int64_t job = 0;
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(work));
            job = ++posted_;
        }
        changed_.notify_all();
        return job;
    }

    /// Whether the job is done by then; throws what it threw, or what one before it did.
    bool await(std::int64_t job, std::chrono::steady_clock::time_point deadline) {
        std::unique_lock lock(mutex_);
        const bool done =
            changed_.wait_until(lock, deadline, [&] { return done_ >= job || failure_ != nullptr; });
        if (failure_ != nullptr && done_ < job) std::rethrow_exception(failure_);
        return done;
    }

    bool idle() {
        const std::lock_guard lock(mutex_);
        return done_ == posted_ || failure_ != nullptr;
    }

  private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            Work job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            std::exception_ptr failure;
            try {
                job(*mesh_, tag_);
            } catch (...) {
                failure = std::current_exception();
            }
            tag_ += 2;
            lock.lock();
            if (failure == nullptr) {
                ++done_;
            } else {
                failure_ = failure;
                jobs_.clear();
            }
            changed_.notify_all();
            if (failure != nullptr || ending_) return;
        }
    }

    std::shared_ptr<Mesh> mesh_;
    std::uint32_t tag_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Work> jobs_;
    std::int64_t posted_ = 0;
    std::int64_t done_ = 0;
    std::exception_ptr failure_;
    bool ending_ = false;
    std::thread thread_;
};

TcpCommunicator::TcpCommunicator(int rank, int size, const std::string& address,
                                 std::chrono::duration<double> timeout, const Exchange& exchange)
    : rank_(rank), size_(size), timeout_(timeout) {
    const AllSignalsBlocked blocked;  // Gloo writes to connections without caring for SIGPIPE
    try {
        mesh_ = std::make_shared<Mesh>(rank, size, address, timeout, exchange);
    } catch (const gloo::Exception& failure) {
        tcp_failed("connecting the ranks", failure);
    }
    mesh_->set_self(mesh_);
    general_ = std::make_unique<Lane>(mesh_, 0);
    buckets_ = std::make_unique<Lane>(mesh_, 1);
    pairs_ = std::make_unique<Lane>(mesh_, 0);
    exchanges_.resize(static_cast<std::size_t>(size));
}

TcpCommunicator::~TcpCommunicator() {
    // A collective that was given up can't be called off: Gloo has nothing that wakes who waits for a rank
    // that has gone quiet. The process is about to end; until then the thread, and what it works with, stay.
    for (std::unique_ptr<Lane>* lane : {&general_, &buckets_, &pairs_}) {
        if (*lane && !(*lane)->idle()) (void)lane->release();
    }
}

std::string TcpCommunicator::library() {
    return fmt::format("Gloo {}.{}.{}", GLOO_VERSION_MAJOR, GLOO_VERSION_MINOR, GLOO_VERSION_PATCH);
}

bool TcpCommunicator::has_started_sums() const {
    return !started_.empty();
}

void TcpCommunicator::complete(Lane& lane, std::int64_t job, const char* what) {
    try {
        const auto limit = std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout_);
        auto deadline = std::chrono::steady_clock::now() + limit;
        for (;;) {
            if (abandoned_) throw_abandoned(what);
            const auto now = std::chrono::steady_clock::now();
            if (lane.await(job, std::min(deadline, now + between_questions))) return;
            if (std::chrono::steady_clock::now() < deadline) continue;
            if (others_work_ && others_work_()) {
                deadline = std::chrono::steady_clock::now() + limit;
                continue;
            }
            throw Error(
                ExitCode::peer_lost, 802,
                fmt::format("a rank did not take part in '{}' within {:g} s.", what, timeout_.count()),
                "Look at the log files of the other ranks; --collective-timeout sets the limit.");
        }
    } catch (const gloo::Exception& failure) {
        tcp_failed(what, failure);
    }
}

void TcpCommunicator::run(const char* what, std::function<void(Mesh&, std::uint32_t)> work) {
    complete(*general_, general_->post(std::move(work)), what);
}

// A collective works on a copy: it may be given up by its caller, whose memory must then stay as it is.
template <typename T, typename Operation>
void TcpCommunicator::reduce(const char* what, std::span<T> values, Operation operation) {
    const auto copy = std::make_shared<std::vector<T>>(values.begin(), values.end());
    run(what, [copy, operation](Mesh& mesh, std::uint32_t tag) {
        mesh.reduce(std::span<T>(*copy), tag, operation);
    });
    std::copy(copy->begin(), copy->end(), values.begin());
}

void TcpCommunicator::sum(std::span<float> values) {
    reduce("sum of floats", values, std::plus<float>());
}
void TcpCommunicator::sum(std::span<double> values) {
    reduce("sum of doubles", values, std::plus<double>());
}
void TcpCommunicator::sum(std::span<std::int64_t> values) {
    reduce("sum of integers", values, std::plus<std::int64_t>());
}
void TcpCommunicator::max(std::span<double> values) {
    reduce("maximum of doubles", values, [](double a, double b) { return std::max(a, b); });
}
void TcpCommunicator::max(std::span<std::int64_t> values) {
    reduce("maximum of integers", values, [](std::int64_t a, std::int64_t b) { return std::max(a, b); });
}

device::Collectives::Ticket TcpCommunicator::start_sum(std::span<float> values) {
    const auto copy = std::make_shared<std::vector<float>>(values.begin(), values.end());
    const Ticket ticket = buckets_->post([copy](Mesh& mesh, std::uint32_t tag) {
        mesh.reduce(std::span<float>(*copy), tag, std::plus<float>());
    });
    started_.push_back({ticket, values, copy});
    return ticket;
}

void TcpCommunicator::wait(Ticket ticket) {
    const auto found = std::find_if(started_.begin(), started_.end(),
                                    [ticket](const Started& one) { return one.ticket == ticket; });
    TERRANE_ASSERT(found != started_.end(), "ticket {} was never given out or was waited for before", ticket);
    complete(*buckets_, ticket, "sum of a gradient bucket");
    std::copy(found->sum->begin(), found->sum->end(), found->values.begin());
    started_.erase(found);
}

void TcpCommunicator::broadcast(std::string& bytes, int root) {
    const auto text = std::make_shared<std::string>(rank_ == root ? bytes : std::string());
    run("broadcast", [=](Mesh& mesh, std::uint32_t tag) {
        std::int64_t length = static_cast<std::int64_t>(text->size());
        mesh.broadcast(reinterpret_cast<char*>(&length), sizeof length, root, tag);
        text->resize(static_cast<std::size_t>(length));
        mesh.broadcast(text->data(), text->size(), root, tag);
    });
    bytes = std::move(*text);
}

std::vector<std::string> TcpCommunicator::all_gather(const std::string& bytes) {
    const auto texts = std::make_shared<std::vector<std::string>>();
    run("all-gather", [texts, own = bytes](Mesh& mesh, std::uint32_t tag) {
        const std::vector<std::size_t> lengths = mesh.lengths(own.size(), tag);
        std::size_t total = 0;
        for (const std::size_t length : lengths) total += length;
        std::string all(total, '\0');
        if (total > 0) mesh.all_gather(own, all, lengths, tag);
        std::size_t at = 0;
        for (const std::size_t length : lengths) {
            texts->push_back(all.substr(at, length));
            at += length;
        }
    });
    return std::move(*texts);
}

std::vector<std::string> TcpCommunicator::gather(const std::string& bytes, int root) {
    const auto texts = std::make_shared<std::vector<std::string>>();
    run("gather", [texts, root, own = bytes](Mesh& mesh, std::uint32_t tag) {
        const std::vector<std::size_t> lengths = mesh.lengths(own.size(), tag);
        if (mesh.rank != root) {
            if (!own.empty()) mesh.send(own, root, tag);
            return;
        }
        for (const std::size_t length : lengths) texts->emplace_back(length, '\0');
        for (std::size_t source = 0; source < lengths.size(); ++source) {
            if (source == static_cast<std::size_t>(root)) {
                (*texts)[source] = own;
            } else if (lengths[source] > 0) {
                mesh.receive((*texts)[source], static_cast<int>(source), tag);
            }
        }
    });
    return std::move(*texts);
}

// A lane of its own: its tags do not count, so that ranks that have no partner do not fall behind.
void TcpCommunicator::exchange_with(int partner, std::span<const float> own, std::span<float> theirs) {
    TERRANE_ASSERT(own.size() == theirs.size(), "{} values against {}", own.size(), theirs.size());
    if (own.empty()) return;
    const auto out = std::make_shared<std::vector<float>>(own.begin(), own.end());
    const auto in = std::make_shared<std::vector<float>>(theirs.size());
    const std::uint32_t number = exchanges_[static_cast<std::size_t>(partner)]++;
    const std::int64_t job =
        pairs_->post([=](Mesh& mesh, std::uint32_t) { mesh.exchange(partner, *out, *in, number); });
    complete(*pairs_, job, "exchange with a rank");
    std::copy(in->begin(), in->end(), theirs.begin());
}

void TcpCommunicator::barrier() {
    run("barrier", [](Mesh& mesh, std::uint32_t tag) { mesh.barrier(tag); });
}

}  // namespace terrane::comm
