#include "bench/collective_time.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

/// Two ranks of which the other one always brings the same numbers.
class Twins final : public device::Collectives {
  public:
    float factor = 2;
    int sums = 0, waits = 0;

    int rank() const override { return 0; }
    int size() const override { return 2; }
    bool are_queued() const override { return true; }
    void sum(std::span<float> values) override {
        for (float& value : values) value *= factor;
    }
    void sum(std::span<double>) override {}
    void sum(std::span<std::int64_t>) override {}
    Ticket start_sum(std::span<float> values) override {
        sum(values);
        return ++sums;
    }
    void wait(Ticket ticket) override {
        ++waits;
        CHECK(ticket == sums);
    }
};

}  // namespace

TEST_CASE("queued sums are verified once and timed in rounds, by size", "[bench]") {
    const auto backend = ref::make_ref_backend();
    const auto alone = comm::self_communicator();
    Twins twins;
    const auto rows = bench::measure_queued_sums(*backend, twins, *alone, 100'000, 3);
    REQUIRE(rows.size() == 3);
    CHECK((rows[0].bytes == 4096 && rows[1].bytes == 16384 && rows[2].bytes == 65536));
    for (const bench::CollectiveTime& row : rows) CHECK((row.least > 0 && row.least <= row.seconds));
    CHECK(twins.sums == 3 * (1 + 5 * 3));
    CHECK(twins.waits == twins.sums);

    twins.factor = 3;
    CHECK_THROWS_AS(bench::measure_queued_sums(*backend, twins, *alone, 4096, 1), InternalError);
}

TEST_CASE("bus bandwidth is that of nccl-tests", "[bench]") {
    // 8 ranks sum 1 GB in 10 ms: 100 GB/s by the payload, 175 GB/s on the bus.
    const bench::CollectiveTime row{1'000'000'000, 0.01, 0.01};
    CHECK(row.bus_bandwidth(8) == Approx(175e9));
    CHECK(row.bus_bandwidth(2) == Approx(100e9));
}

TEST_CASE("sums in device memory have a list of their own, where there are any", "[bench]") {
    const std::string without =
        bench::collectives_json({{{4096, 1e-3, 1e-3}}, {}}, 2, 1, "Open MPI", "terrane");
    CHECK_THAT(without, test::contains("\"sums\"") && !test::contains("device_sums"));
    CHECK_THAT(
        bench::collectives_json({{{4096, 1e-3, 1e-3}}, {{4096, 1e-5, 1e-5}}}, 2, 1, "Open MPI", "terrane"),
        test::contains("\"device_sums\""));
}
