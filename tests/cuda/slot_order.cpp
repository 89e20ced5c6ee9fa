// Two streams acted out step by step: whatever their speeds, no slot is read before it is full or filled
// while it is read.
#include "cuda/slot_order.hpp"

#include <deque>
#include <functional>
#include <map>

#include "base/philox.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

/// Streams as queues of actions that run in any order that the waiting allows.
class ActedStreams final : public cuda::FeedStreams {
  public:
    struct Action {
        std::function<bool()> may_run = [] { return true; };
        std::function<void()> run = [] {};
    };
    std::deque<Action> work, feed;

    void mark_work(int place) override { mark(work, work_marks_, place); }
    void mark_feed(int place) override { mark(feed, feed_marks_, place); }
    void feed_waits_for_work(int place) override { wait(feed, work_marks_, place); }
    void work_waits_for_feed(int place) override { wait(work, feed_marks_, place); }

    bool step(bool of_work) {
        std::deque<Action>& queue = of_work ? work : feed;
        if (queue.empty() || !queue.front().may_run()) return false;
        queue.front().run();
        queue.pop_front();
        return true;
    }

  private:
    // A wait is for the mark as it was when the wait was queued, as with CUDA's events.
    struct Marks {
        std::map<int, int> queued, reached;
    };
    static void mark(std::deque<Action>& queue, Marks& marks, int place) {
        const int number = ++marks.queued[place];
        queue.push_back({[] { return true; }, [&marks, place, number] { marks.reached[place] = number; }});
    }
    static void wait(std::deque<Action>& queue, Marks& marks, int place) {
        const int number = marks.queued[place];
        queue.push_back({[&marks, place, number] { return marks.reached[place] >= number; }, [] {}});
    }
    Marks work_marks_, feed_marks_;
};

}  // namespace

TEST_CASE("slots that are filled ahead are neither read early nor overwritten", "[cuda]") {
    int overlapped = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        ActedStreams streams;
        cuda::SlotOrder order(streams);
        std::byte slots[2];
        int held[2] = {-1, -1};
        std::vector<int> seen;
        bool reading = false;
        const auto fill = [&](int batch) {
            const int s = batch % 2;
            order.begin(&slots[s]);
            streams.feed.push_back({[] { return true; },
                                    [&, s] {
                                        held[s] = -1;  // half written
                                        if (reading) ++overlapped;
                                    }});
            streams.feed.push_back({[] { return true; }, [&, s, batch] { held[s] = batch; }});
            order.end(&slots[s]);
        };
        constexpr int batches = 8;
        fill(0);
        for (int batch = 0; batch < batches; ++batch) {
            const int s = batch % 2;
            order.use(&slots[s]);
            streams.work.push_back({[] { return true; },
                                    [&, s] {
                                        seen.push_back(held[s]);
                                        reading = true;
                                    }});
            streams.work.push_back({[] { return true; },
                                    [&, s] {
                                        seen.push_back(held[s]);
                                        reading = false;
                                    }});
            if (batch + 1 < batches) fill(batch + 1);
        }
        PhiloxStream random(seed, 1);
        for (int idle = 0; idle < 1000 && !(streams.work.empty() && streams.feed.empty());) {
            idle = streams.step(random.below(2) == 0) ? 0 : idle + 1;
        }
        REQUIRE((streams.work.empty() && streams.feed.empty()));
        std::vector<int> expected;
        for (int batch = 0; batch < batches; ++batch) expected.insert(expected.end(), {batch, batch});
        CHECK(seen == expected);
    }
    CHECK(overlapped > 0);  // filling did go on beside reading
}

TEST_CASE("a single slot is filled only when all work so far is done", "[cuda]") {
    ActedStreams streams;
    cuda::SlotOrder order(streams);
    std::byte slot;
    bool read = false, filled = false;
    order.begin(&slot);
    order.end(&slot);
    order.use(&slot);
    streams.work.push_back({[] { return true; }, [&] { read = true; }});
    order.begin(&slot);
    streams.feed.push_back({[] { return true; }, [&] { filled = true; }});
    while (streams.step(false)) {
    }
    CHECK_FALSE(filled);
    while (streams.step(true) || streams.step(false)) {
    }
    CHECK((read && filled));
}
