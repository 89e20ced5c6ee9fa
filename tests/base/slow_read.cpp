#include "base/slow_read.hpp"

#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("the read that began first is told, whichever ends before it", "[base]") {
    CHECK_FALSE(slow_read::oldest());
    const auto named = [](const char* name) { return [name] { return std::string(name); }; };
    const auto a = named("a"), b = named("b"), c = named("c");
    const auto told = [] { return slow_read::oldest().value().what; };
    {
        std::optional<slow_read::UnderWay> first(std::in_place, a), second(std::in_place, b);
        const slow_read::UnderWay third(c);
        CHECK(told() == "a");
        second.reset();
        CHECK(told() == "a");
        first.reset();
        CHECK(told() == "c");
        CHECK(slow_read::oldest()->since.count() >= 0);
    }
    CHECK_FALSE(slow_read::oldest());
}
