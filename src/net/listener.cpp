#include "net/listener.hpp"

#include <netinet/in.h>

#include <cerrno>
#include <utility>

namespace terrane::net {

namespace {

Descriptor bound(int family, int port, int& failure) {
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) {
        failure = errno;
        return {};
    }
    // A job that ended a moment ago doesn't keep its port; one that still listens does.
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_storage storage{};
    socklen_t length = 0;
    if (family == AF_INET6) {
        const int off = 0;
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        auto& address = reinterpret_cast<sockaddr_in6&>(storage);
        address.sin6_family = AF_INET6;
        address.sin6_addr = in6addr_any;
        address.sin6_port = htons(static_cast<std::uint16_t>(port));
        length = sizeof address;
    } else {
        auto& address = reinterpret_cast<sockaddr_in&>(storage);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_ANY);
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        length = sizeof address;
    }
    constexpr int waiting = 1024;
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 ||
        ::listen(socket.get(), waiting) != 0) {
        failure = errno;
        return {};
    }
    failure = 0;
    return socket;
}

}  // namespace

Listener::Listener(int port, int& failure) : socket_(bound(AF_INET6, port, failure)) {
    if (!socket_.is_open() && failure != EADDRINUSE && failure != EACCES)
        socket_ = bound(AF_INET, port, failure);
}

int Listener::port() const {
    Address address;
    address.length = sizeof address.storage;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length);
    return address.port();
}

std::optional<Connection> Listener::accept() {
    for (;;) {
        Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (socket.is_open()) return Connection(std::move(socket));
        if (errno != EINTR && errno != ECONNABORTED) return std::nullopt;
    }
}

}  // namespace terrane::net
