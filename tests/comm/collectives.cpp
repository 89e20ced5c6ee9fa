// Started with 1, 2, 3 and 4 ranks by mpirun, and over TCP without MPI.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "comm/world.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

comm::World& world() {
    static comm::World instance(comm::detect_launch(comm::environment_variable));
    return instance;
}

std::vector<float> random_floats(std::uint64_t stream, std::size_t count) {
    PhiloxStream random(7, stream);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
    return values;
}

/// A word from rank 0 to the others outside of MPI, so that a test doesn't depend on how fast the machine is.
/// Made by all ranks together.
class Signal {
  public:
    Signal() {
        std::string path = (std::filesystem::temp_directory_path() /
                            fmt::format("terrane-signal-{}-{}", ::getpid(), made_++))
                               .string();
        world().communicator().broadcast(path, 0);
        path_ = path;
        world().communicator().barrier();
    }
    /// Rank 0 clears the files away once every other rank has heard it.
    ~Signal() {
        if (world().rank() != 0) return;
        for (int rank = 1; rank < world().size(); ++rank) appears(answer(rank));
        for (int rank = 1; rank < world().size(); ++rank) std::filesystem::remove(answer(rank));
        std::filesystem::remove(path_);
    }
    Signal(const Signal&) = delete;
    Signal& operator=(const Signal&) = delete;

    void give() const { std::ofstream(path_) << "now"; }
    void await() const {
        if (!appears(path_)) FAIL("no word from rank 0");
        std::ofstream(answer(world().rank())) << "heard";
    }

  private:
    std::filesystem::path answer(int rank) const { return path_.string() + fmt::format(".{}", rank); }
    static bool appears(const std::filesystem::path& file) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!std::filesystem::exists(file)) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return true;
    }

    static inline int made_ = 0;
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("the world has the launcher's size, and local ranks count from 0", "[comm]") {
    CHECK(world().size() == world().launch().promised_ranks);
    CHECK(world().rank() == world().launch().promised_rank);
    CHECK(world().local_size() == world().size());
    CHECK(world().local_rank() == world().rank());
    CHECK(world().nodes() == 1);
    CHECK(world().hosts().size() == static_cast<std::size_t>(world().size()));
    CHECK_THAT(world().library(), !terrane::test::contains("unknown"));
}

TEST_CASE("sums and maxima over ranks equal those of the list of all values", "[comm]") {
    comm::Communicator& ranks = world().communicator();
    const std::int64_t size = ranks.size();
    const std::int64_t rank = ranks.rank();
    std::vector<std::int64_t> integers(1000);
    for (std::size_t i = 0; i < integers.size(); ++i) integers[i] = static_cast<std::int64_t>(i) + rank;
    ranks.sum(std::span<std::int64_t>(integers));
    for (std::size_t i = 0; i < integers.size(); ++i) {
        REQUIRE(integers[i] == size * static_cast<std::int64_t>(i) + size * (size - 1) / 2);
    }
    std::vector<double> reals{static_cast<double>(rank), -static_cast<double>(rank), 0.5};
    ranks.sum(std::span<double>(reals));
    CHECK(reals == std::vector<double>{static_cast<double>(size * (size - 1) / 2),
                                       -static_cast<double>(size * (size - 1) / 2),
                                       0.5 * static_cast<double>(size)});
    std::vector<double> highest{static_cast<double>(rank), -static_cast<double>(rank)};
    ranks.max(std::span<double>(highest));
    CHECK(highest == std::vector<double>{static_cast<double>(size - 1), 0});
    std::vector<std::int64_t> highest_integers{rank, -rank};
    ranks.max(std::span<std::int64_t>(highest_integers));
    CHECK(highest_integers == std::vector<std::int64_t>{size - 1, 0});
    ranks.sum(std::span<float>());  // nothing is also a sum
}

TEST_CASE(
    "buckets in flight together give the sums of their own values, with equal bits on all ranks and repeats",
    "[comm]") {
    comm::Communicator& ranks = world().communicator();
    const std::vector<std::size_t> sizes = {1, 1000003, 17, 262144};
    std::vector<std::vector<float>> results;
    for (int repeat = 0; repeat < 2; ++repeat) {
        std::vector<std::vector<float>> buckets;
        std::vector<device::Collectives::Ticket> tickets;
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            buckets.push_back(random_floats(100 * i + static_cast<std::uint64_t>(ranks.rank()), sizes[i]));
        }
        for (auto& bucket : buckets) tickets.push_back(ranks.start_sum(bucket));
        std::vector<double> between{1};
        ranks.sum(std::span<double>(between));  // other collectives may pass in between
        CHECK(between[0] == ranks.size());
        for (std::size_t i = tickets.size(); i-- > 0;) ranks.wait(tickets[i]);
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            std::vector<double> expected(sizes[i]);
            for (int rank = 0; rank < ranks.size(); ++rank) {
                const auto part = random_floats(100 * i + static_cast<std::uint64_t>(rank), sizes[i]);
                for (std::size_t k = 0; k < part.size(); ++k) expected[k] += static_cast<double>(part[k]);
            }
            double worst = 0;
            for (std::size_t k = 0; k < sizes[i]; ++k) {
                worst = std::max(worst, std::abs(static_cast<double>(buckets[i][k]) - expected[k]));
            }
            CHECK(worst < 1e-6 * ranks.size());
            if (repeat == 0) {
                results.push_back(buckets[i]);
            } else {
                CHECK(std::memcmp(results[i].data(), buckets[i].data(), sizes[i] * sizeof(float)) == 0);
            }
            const std::string bytes(reinterpret_cast<const char*>(buckets[i].data()),
                                    sizes[i] * sizeof(float));
            for (const std::string& other : ranks.all_gather(bytes)) CHECK(other == bytes);
        }
    }
}

TEST_CASE("waiting for a ticket that was never given out is an internal error", "[comm]") {
    comm::Communicator& ranks = world().communicator();
    if (comm::transport_of(world().launch().launcher) == comm::Transport::self) return;
    CHECK_THROWS_AS(ranks.wait(99999), InternalError);
}

TEST_CASE("texts of any length and content travel", "[comm]") {
    comm::Communicator& ranks = world().communicator();
    const int last = ranks.size() - 1;
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{3000000}}) {
        const std::string sent(length, '\0');
        std::string text = ranks.rank() == last ? sent : "to be replaced";
        ranks.broadcast(text, last);
        CHECK(text == sent);
    }
    const std::string own = std::string(static_cast<std::size_t>(ranks.rank()) * 100000, 'x') + "end";
    const auto all = ranks.all_gather(own);
    const auto gathered = ranks.gather(own, last);
    REQUIRE(all.size() == static_cast<std::size_t>(ranks.size()));
    for (std::size_t rank = 0; rank < all.size(); ++rank)
        CHECK(all[rank] == std::string(rank * 100000, 'x') + "end");
    CHECK(gathered == (ranks.rank() == last ? all : std::vector<std::string>{}));
    CHECK(world().all_gather_on_host(own) == all);
    ranks.barrier();
}

TEST_CASE("two ranks exchange their values, however many", "[comm]") {
    comm::Communicator& ranks = world().communicator();
    const int partner = ranks.rank() ^ 1;
    // With an odd number of ranks the last one has no partner and stays away.
    if (partner < ranks.size()) {
        for (const std::size_t length :
             {std::size_t{0}, std::size_t{7}, std::size_t{1} << 20, (std::size_t{1} << 21) + 5}) {
            std::vector<float> own(length), theirs(length);
            for (std::size_t i = 0; i < length; ++i)
                own[i] = static_cast<float>(ranks.rank() + 1) * static_cast<float>(i % 1000 + 1);
            ranks.exchange_with(partner, own, theirs);
            bool equal = true;
            for (std::size_t i = 0; i < length; ++i)
                equal =
                    equal && theirs[i] == static_cast<float>(partner + 1) * static_cast<float>(i % 1000 + 1);
            CHECK(equal);
        }
    }
    ranks.barrier();
}

TEST_CASE("ranks that differ are refused on every rank, naming them", "[comm]") {
    CHECK_NOTHROW(world().require_equal("configuration", "same"));
    if (world().size() == 1) return;
    try {
        world().require_equal("configuration", world().rank() == 1 ? "other" : "same");
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.number() == 121);
        CHECK_THAT(error.message(), terrane::test::contains("differs between rank 0 on ") &&
                                        terrane::test::contains("and rank 1 on "));
    }
}

TEST_CASE("the time limit begins anew for as long as the others show life", "[comm]") {
    if (world().size() == 1) return;
    const Signal waited_long;
    world().set_collective_timeout(std::chrono::milliseconds(200));
    std::atomic<int> asked{0};
    world().set_others_work([&] {
        if (++asked == 2) waited_long.give();
        return asked < 100;
    });
    if (world().rank() != 0) waited_long.await();
    world().communicator().barrier();
    if (world().rank() == 0) CHECK(asked >= 2);
    world().set_others_work({});
    world().set_collective_timeout(std::chrono::seconds(60));
    world().communicator().barrier();
}

TEST_CASE("a rank that doesn't take part ends the collective within the limit", "[comm]") {
    if (world().size() == 1) return;
    const Signal gave_up;
    if (world().rank() == 0) {
        // The other ranks stay away; the call is abandoned, so nothing may follow on this communicator but
        // the end.
        world().set_collective_timeout(std::chrono::milliseconds(300));
        try {
            world().communicator().barrier();
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.number() == 802);
            CHECK(error.exit_code() == ExitCode::peer_lost);
        }
        gave_up.give();
    } else {
        gave_up.await();
        world().communicator().barrier();  // completes what rank 0 began
    }
}
