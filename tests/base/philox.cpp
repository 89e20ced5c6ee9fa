#include "base/philox.hpp"

#include <set>

#include "support/catch.hpp"

using terrane::Philox;
using terrane::PhiloxStream;

TEST_CASE("Philox4x32-10 gives the published known answers", "[base]") {
    // Known answers of the Random123 distribution for philox4x32, 10 rounds.
    CHECK(Philox::draw(0, Philox::Counter{0, 0, 0, 0}) ==
          Philox::Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(Philox::draw(~0ull, Philox::Counter{~0u, ~0u, ~0u, ~0u}) ==
          Philox::Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(Philox::draw(0x299f31d0a4093822ull, Philox::Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
          Philox::Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform draws stay in [0, 1) and have the moments of a uniform distribution", "[base]") {
    PhiloxStream stream(7, terrane::stream_of("test"));
    double sum = 0, squares = 0;
    const int draws = 100000;
    for (int i = 0; i < draws; ++i) {
        const double value = stream.uniform();
        REQUIRE(value >= 0.0);
        REQUIRE(value < 1.0);
        sum += value;
        squares += value * value;
    }
    CHECK(sum / draws == Approx(0.5).margin(0.005));
    CHECK(squares / draws == Approx(1.0 / 3).margin(0.005));
}

TEST_CASE("below(n) reaches every value and none beyond", "[base]") {
    PhiloxStream stream(1, 2);
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(stream.below(7));
    CHECK(seen.size() == 7);
    CHECK(*seen.rbegin() == 6);
}
