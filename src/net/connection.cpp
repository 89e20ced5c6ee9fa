#include "net/connection.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace terrane::net {

namespace {

bool await(int descriptor, short events, Clock::time_point deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd entry{descriptor, events, 0};
        const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
        if (Clock::now() >= deadline) return false;
    }
}

constexpr std::size_t length_bytes = 4;

// What ::getsockname or ::getpeername says; an IPv4 address that a socket of both kinds shows as IPv6 is
// given back as what it is.
template <typename Ask>
Address asked(Ask ask, int descriptor) {
    Address address;
    address.length = sizeof address.storage;
    ask(descriptor, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address.storage);
    if (address.storage.ss_family != AF_INET6 || IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) == 0) return address;
    Address four;
    four.length = sizeof(sockaddr_in);
    auto& target = reinterpret_cast<sockaddr_in&>(four.storage);
    target.sin_family = AF_INET;
    target.sin_port = six.sin6_port;
    std::memcpy(&target.sin_addr, six.sin6_addr.s6_addr + 12, 4);
    return four;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        close();
        number_ = other.release();
    }
    return *this;
}

int Descriptor::release() {
    return std::exchange(number_, -1);
}

void Descriptor::close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
}

bool await_readable(int descriptor, Clock::time_point deadline) {
    return await(descriptor, POLLIN, deadline);
}

bool await_writable(int descriptor, Clock::time_point deadline) {
    return await(descriptor, POLLOUT, deadline);
}

Connection::Connection(Descriptor socket) : socket_(std::move(socket)) {
    const int flags = ::fcntl(socket_.get(), F_GETFL);
    ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Connection Connection::open(const Address& target, Clock::time_point deadline, std::string& why) {
    Descriptor socket(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) {
        why = std::strerror(errno);
        return {};
    }
    int failure = 0;
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target.storage), target.length) != 0) {
        failure = errno;
        if (failure == EINPROGRESS) {
            failure = ETIMEDOUT;
            if (await_writable(socket.get(), deadline)) {
                socklen_t size = sizeof failure;
                ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
            }
        }
    }
    if (failure != 0) {
        why = std::strerror(failure);
        return {};
    }
    Connection connection(std::move(socket));
    // Connecting to a free port of one's own machine can meet itself.
    if (connection.local_address().text() == connection.peer_address().text()) {
        why = std::strerror(ECONNREFUSED);
        return {};
    }
    return connection;
}

Address Connection::local_address() const {
    return asked(::getsockname, socket_.get());
}

Address Connection::peer_address() const {
    return asked(::getpeername, socket_.get());
}

bool Connection::send(const std::string& message) {
    if (!is_open()) return false;
    TERRANE_ASSERT(message.size() <= longest_message, "a message of {} bytes", message.size());
    const auto length = static_cast<std::uint32_t>(message.size());
    for (std::size_t i = 0; i < length_bytes; ++i)
        outgoing_.push_back(static_cast<char>((length >> (8 * i)) & 0xff));
    outgoing_ += message;
    return flush();
}

bool Connection::flush() {
    while (!outgoing_.empty()) {
        const ssize_t sent = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            outgoing_.erase(0, static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool Connection::flush_until(Clock::time_point deadline) {
    while (is_open() && flush()) {
        if (outgoing_.empty()) return true;
        if (!await_writable(socket_.get(), deadline)) return false;
    }
    return false;
}

bool Connection::receive() {
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (count > 0) {
            incoming_.append(buffer.data(), static_cast<std::size_t>(count));
            if (incoming_.size() > longest_message + length_bytes + buffer.size()) return false;
        } else if (count == 0) {
            return false;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

std::optional<std::string> Connection::next_message() {
    if (incoming_.size() < length_bytes) return std::nullopt;
    std::size_t length = 0;
    for (std::size_t i = 0; i < length_bytes; ++i)
        length |= static_cast<std::size_t>(static_cast<unsigned char>(incoming_[i])) << (8 * i);
    if (length > longest_message) {
        close();
        return std::nullopt;
    }
    if (incoming_.size() < length_bytes + length) return std::nullopt;
    std::string message = incoming_.substr(length_bytes, length);
    incoming_.erase(0, length_bytes + length);
    return message;
}

std::optional<std::string> Connection::await_message(Clock::time_point deadline) {
    for (;;) {
        if (auto message = next_message()) return message;
        if (ended_) close();
        if (!is_open() || !await_readable(socket_.get(), deadline)) return std::nullopt;
        if (!receive()) ended_ = true;
    }
}

}  // namespace terrane::net
