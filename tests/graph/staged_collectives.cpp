#include "graph/staged_collectives.hpp"

#include <deque>

#include "fake_backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using graph::StagedCollectives;
using test::FakeBackend;

namespace {

/// Two ranks with equal values: a sum doubles. A started sum is done when it is waited for.
class TwoEqualRanks final : public device::Collectives {
  public:
    std::vector<const void*> seen;

    int rank() const override { return 0; }
    int size() const override { return 2; }
    void sum(std::span<float> values) override { twice(values); }
    void sum(std::span<double> values) override { twice(values); }
    void sum(std::span<std::int64_t> values) override { twice(values); }
    Ticket start_sum(std::span<float> values) override {
        started_.push_back(values);
        return static_cast<Ticket>(started_.size()) - 1;
    }
    void wait(Ticket ticket) override { twice(started_[static_cast<std::size_t>(ticket)]); }

  private:
    template <typename T>
    void twice(std::span<T> values) {
        seen.push_back(values.data());
        for (T& value : values) value *= 2;
    }
    std::deque<std::span<float>> started_;
};

}  // namespace

TEST_CASE("device memory is summed by way of the host, also while several sums are under way", "[graph]") {
    FakeBackend backend;
    backend.own_memory = true;
    TwoEqualRanks ranks;
    StagedCollectives collectives(backend, ranks);
    std::vector<double> doubles{1, 2, 3};
    std::vector<std::int64_t> counts{4, 5};
    collectives.sum(std::span<double>(doubles));
    collectives.sum(std::span<std::int64_t>(counts));
    CHECK(doubles == std::vector<double>{2, 4, 6});
    CHECK(counts == std::vector<std::int64_t>{8, 10});

    std::vector<float> first{1, 2}, second{3};
    const auto a = collectives.start_sum(first);
    const auto b = collectives.start_sum(second);
    CHECK(first == std::vector<float>{1, 2});  // untouched until waited for
    collectives.wait(b);
    collectives.wait(a);
    CHECK(first == std::vector<float>{2, 4});
    CHECK(second == std::vector<float>{6});
    for (const void* pointer : ranks.seen) {
        CHECK(pointer != doubles.data());
        CHECK(pointer != counts.data());
        CHECK(pointer != first.data());
        CHECK(pointer != second.data());
    }
}

TEST_CASE("host memory is summed in place", "[graph]") {
    FakeBackend backend;
    TwoEqualRanks ranks;
    StagedCollectives collectives(backend, ranks);
    std::vector<double> doubles{1, 2};
    std::vector<float> values{3};
    collectives.sum(std::span<double>(doubles));
    collectives.wait(collectives.start_sum(values));
    CHECK(ranks.seen == std::vector<const void*>{doubles.data(), values.data()});
    CHECK(values == std::vector<float>{6});
}

TEST_CASE("memory for staging is taken once and used again", "[graph]") {
    FakeBackend backend;
    backend.own_memory = true;
    TwoEqualRanks ranks;
    StagedCollectives collectives(backend, ranks);
    std::vector<float> large(100, 1), small(10, 1);
    std::vector<double> doubles(3, 1);
    for (int step = 0; step < 3; ++step) {
        const auto a = collectives.start_sum(large);
        const auto b = collectives.start_sum(small);
        collectives.sum(std::span<double>(doubles));
        collectives.wait(a);
        collectives.wait(b);
    }
    CHECK(backend.staging_allocations == 3);
    CHECK((large[99] == 8 && small[9] == 8 && doubles[2] == 8));
}
