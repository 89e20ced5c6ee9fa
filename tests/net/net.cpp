#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/philox.hpp"
#include "net/listener.hpp"
#include "net/message.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace std::chrono_literals;

namespace {

struct Pair {
    net::Connection here, there;
};

Pair connected(net::Listener& listener) {
    std::string why;
    const auto addresses = net::resolve("127.0.0.1", listener.port(), why);
    REQUIRE(addresses.size() == 1);
    Pair pair;
    pair.here = net::Connection::open(addresses[0], net::Clock::now() + 5s, why);
    REQUIRE(pair.here.is_open());
    REQUIRE(net::await_readable(listener.descriptor(), net::Clock::now() + 5s));
    pair.there = *listener.accept();
    return pair;
}

}  // namespace

TEST_CASE("NCCL's filter of interfaces: prefixes, whole names, exclusion", "[net]") {
    CHECK(net::interface_is_chosen("eth0", ""));
    CHECK(net::interface_is_chosen("eth0", "eth"));
    CHECK(net::interface_is_chosen("eth0", "ib,eth"));
    CHECK_FALSE(net::interface_is_chosen("eth0", "ib"));
    CHECK_FALSE(net::interface_is_chosen("eth01", "=eth0"));
    CHECK(net::interface_is_chosen("eth0", "=eth0"));
    CHECK_FALSE(net::interface_is_chosen("docker0", "^docker,lo"));
    CHECK(net::interface_is_chosen("eth0", "^docker,lo"));
    CHECK(net::interface_is_chosen("eth01", "^=eth0"));
    const auto all = net::interface_addresses("");
    REQUIRE_FALSE(all.empty());
    CHECK(all.back().address.is_loopback());
    CHECK(net::interface_addresses("=no-such-interface").empty());
}

TEST_CASE("messages of any length arrive whole and in order, and a closed connection is noticed", "[net]") {
    int failure = 0;
    net::Listener listener(0, failure);
    REQUIRE(listener.is_open());
    Pair pair = connected(listener);
    CHECK(pair.here.local_address().text() == pair.there.peer_address().text());
    CHECK(pair.there.peer_address().is_loopback());
    CHECK(net::interface_of(pair.here.local_address()) == "lo");
    PhiloxStream random(3, 1);
    std::vector<std::string> sent;
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, std::size_t{70000}, std::size_t{3000000}}) {
        std::string text(length, '\0');
        for (char& letter : text) letter = static_cast<char>(random.uniform(0, 255));
        sent.push_back(text);
    }
    std::thread sender([&] {
        for (const std::string& text : sent) pair.here.send(text);
        pair.here.flush_until(net::Clock::now() + 20s);
        pair.here.close();
    });
    for (const std::string& text : sent) {
        const auto received = pair.there.await_message(net::Clock::now() + 20s);
        REQUIRE(received.has_value());
        CHECK(*received == text);
    }
    CHECK_FALSE(pair.there.await_message(net::Clock::now() + 20s).has_value());
    sender.join();
}

TEST_CASE("what is no message closes the connection, and a deadline ends the waiting", "[net]") {
    int failure = 0;
    net::Listener listener(0, failure);
    Pair pair = connected(listener);
    CHECK_FALSE(pair.there.await_message(net::Clock::now() + 20ms).has_value());
    CHECK(pair.there.is_open());
    REQUIRE(::send(pair.here.descriptor(), "GET / HTTP/1.1", 14, 0) == 14);
    CHECK_FALSE(pair.there.await_message(net::Clock::now() + 5s).has_value());
    CHECK_FALSE(pair.there.is_open());
}

TEST_CASE("a port that is taken says so, and one without a listener refuses", "[net]") {
    int failure = 0;
    net::Listener first(0, failure);
    REQUIRE(first.is_open());
    const int port = first.port();
    CHECK_FALSE(net::Listener(port, failure).is_open());
    CHECK(failure == EADDRINUSE);
    std::string why;
    const auto addresses = net::resolve("127.0.0.1", 1, why);
    CHECK_FALSE(net::Connection::open(addresses[0], net::Clock::now() + 1s, why).is_open());
    CHECK(why == "Connection refused");
    CHECK(net::resolve("no-such-host.invalid", 1, why).empty());
    CHECK_FALSE(why.empty());
}

TEST_CASE("a message that is cut or lies about its lengths is read as failed", "[net]") {
    const std::string whole = net::MessageWriter().add(7).add(std::string("text")).add(-1).bytes();
    net::MessageReader reader(whole);
    CHECK(reader.integer() == 7);
    CHECK(reader.text() == "text");
    CHECK(reader.integer() == -1);
    CHECK(reader.complete());
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const std::string cut = whole.substr(0, length);
        net::MessageReader partial(cut);
        partial.integer();
        partial.text();
        partial.integer();
        CHECK(partial.failed());
    }
    const std::string liar = net::MessageWriter().add(std::int64_t{1} << 60).bytes();
    net::MessageReader lying(liar);
    CHECK(lying.text().empty());
    CHECK(lying.failed());
}
