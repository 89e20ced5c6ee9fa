#include "comm/diagnosis.hpp"

#include <thread>

#include "support/catch.hpp"

using namespace terrane;
using terrane::test::contains;

namespace {

std::vector<comm::Member> members() {
    std::vector<comm::Member> all(4);
    for (int rank = 0; rank < 4; ++rank) {
        comm::Member& one = all[static_cast<std::size_t>(rank)];
        one.rank = rank;
        one.size = 4;
        one.host = rank < 2 ? "hosta" : "hostb";
        one.process = 100 + rank;
    }
    return all;
}

// All ranks wait in collective 12.
std::vector<comm::RankEvidence> waiting() {
    std::vector<comm::RankEvidence> all(4);
    for (comm::RankEvidence& one : all) one.state = {12, 12, "barrier", 5.2, 57, {}};
    return all;
}

const comm::Failure late{82, 802,
                         "error[E0802]: a rank did not take part in 'barrier' within 5 s. Look at it."};

}  // namespace

TEST_CASE("a stall names the rank that the others wait for", "[comm]") {
    auto computing = waiting();
    computing[2].state = {11, 0, "sum of floats", 5.3, 57, "tile a/3"};
    CHECK(comm::explain_stall(members(), computing, late).text ==
          "error[E0802]: a rank did not take part in 'barrier' within 5 s. rank 2 on hostb (process 102) "
          "keeps the "
          "others waiting: it is alive and computing for 5.3 s since collective 11, step 57, tile a/3. Look "
          "at that "
          "rank's output and host; --collective-timeout sets the limit.");

    auto in_another = waiting();
    in_another[1].state = {10, 10, "broadcast", 5.2, 57, {}};
    CHECK_THAT(
        comm::explain_stall(members(), in_another, late).text,
        contains("rank 1 on hosta (process 101) keeps the others waiting: it is alive and in 'broadcast'"));

    auto mute = waiting();
    mute[3].answered = false;
    mute[2].state.begun = 11;
    CHECK_THAT(comm::explain_stall(members(), mute, late).text,
               contains("rank 3 on hostb (process 103) keeps the others waiting: it is not answering") &&
                   !contains("rank 2 on"));

    auto started_ahead = waiting();  // buckets are begun long before they are waited for
    started_ahead[1].state = {12, 0, "", 5.2, 57, {}};
    CHECK_THAT(comm::explain_stall(members(), started_ahead, late).text,
               contains("rank 1 on hosta (process 101)"));

    CHECK_THAT(comm::explain_stall(members(), waiting(), late).text,
               contains("all ranks take part and wait"));
}

TEST_CASE("a loss names every rank that is gone or silent, and what it did", "[comm]") {
    auto gone = waiting();
    gone[3].gone = true;
    gone[3].state = {0, 0, "", 0.5, 0, {}};
    const comm::Failure loss = comm::explain_loss(members(), gone, 0);
    CHECK(loss.exit_code == 82);
    CHECK(loss.number == 803);
    CHECK_THAT(loss.text,
               contains("error[E0803]: rank 3 on hostb (process 103) is gone, it was last computing for "
                        "0.5 s, before the first collective. "));
    auto silent = waiting();
    silent[2].silent = silent[3].silent = true;
    silent[2].unheard = silent[3].unheard = 5.04;
    const comm::Failure silence = comm::explain_loss(members(), silent, 0);
    CHECK(silence.number == 804);
    CHECK_THAT(silence.text,
               contains("rank 2 on hostb (process 102) has been silent for 5.0 s, it was last in 'barrier' "
                        "(collective 12)") &&
                   contains("; rank 3 on hostb") && contains("heard from rank 0 on hosta"));
}

TEST_CASE("the record keeps the last collectives and tells waiting from computing", "[comm]") {
    comm::FlightRecord record;
    CHECK(record.lines().empty());
    for (int i = 0; i < 200; ++i) {
        const std::int64_t number = record.begin("barrier", 8);
        record.wait(number);
        record.end(number);
    }
    const std::int64_t bucket = record.begin("sum of a gradient bucket", 4096);
    CHECK(record.state().inside == 0);
    CHECK(record.state().begun == 201);
    record.wait(bucket);
    record.set_step(57);
    CHECK(record.state().inside == 201);
    CHECK(record.state().kind == "sum of a gradient bucket");
    CHECK(record.state().step == 57);
    const std::vector<std::string> lines = record.lines();
    REQUIRE(lines.size() == comm::FlightRecord::kept);
    CHECK_THAT(lines.front(), contains("#138 barrier, 8 bytes, "));
    CHECK_THAT(lines.back(),
               contains("#201 sum of a gradient bucket, 4096 bytes, ") && contains(" to now ("));
}

TEST_CASE("sums in a device's queue are in the record by number, and done when the host has seen it",
          "[comm]") {
    comm::FlightRecord record;
    record.end(record.begin("barrier", 0));
    const std::vector<device::SumCall> step{{"sum of doubles", 32}, {"sum of a gradient bucket", 4096}};
    record.sums_queued(step);
    record.sums_queued(step);
    record.sums_done(2);  // a step is queued while the one before is under way
    const std::vector<std::string> lines = record.lines();
    REQUIRE(lines.size() == 5);
    CHECK_THAT(lines[0], contains("#1 barrier") && !contains("queued"));
    CHECK_THAT(lines[1], contains("#2 sum of doubles, 32 bytes, queued at ") && contains(", seen done at "));
    CHECK_THAT(lines[2], contains("#3 sum of a gradient bucket, 4096 bytes") && contains("seen done at "));
    CHECK_THAT(lines[4], contains("#5 sum of a gradient bucket") && contains(", not seen done by now, "));
    // Nobody waits in one of them, but a rank that has queued fewer is behind.
    CHECK((record.state().begun == 5 && record.state().inside == 0));
    for (int i = 0; i < 50; ++i) record.sums_queued(step);
    CHECK(record.lines().size() == comm::FlightRecord::kept);
    CHECK_THAT(record.lines().front(), contains("#42 "));
}

TEST_CASE("the time of sums that overlap counts once", "[comm]") {
    comm::FlightRecord record;
    const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
    const std::int64_t first = record.begin_traffic("sum of a gradient bucket", 1000);
    pause();
    const std::int64_t second = record.begin_traffic("sum of a gradient bucket", 500);
    record.end_traffic(first);
    pause();
    record.end_traffic(second);
    const comm::Traffic moved = record.traffic();
    pause();
    CHECK(moved.bytes == 1500);
    CHECK(moved.seconds >= 0.04);
    CHECK(record.traffic().seconds == moved.seconds);
}
