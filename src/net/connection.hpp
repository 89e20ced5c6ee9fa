#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "net/address.hpp"

namespace terrane::net {

using Clock = std::chrono::steady_clock;

/// A file descriptor that is closed with its owner.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() { close(); }
    Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept;

    int get() const { return number_; }
    bool is_open() const { return number_ >= 0; }
    int release();
    void close();

  private:
    int number_ = -1;
};

/// A TCP connection that carries messages: four bytes of length, then that many bytes. Nothing here ever
/// blocks longer than a deadline says, and what comes in is bounded.
class Connection {
  public:
    /// Longer messages are taken for an attack or another protocol.
    static constexpr std::size_t longest_message = std::size_t{4} << 20;

    Connection() = default;
    /// Takes over a connected socket and makes it non-blocking.
    explicit Connection(Descriptor socket);

    /// Connects, or gives an unconnected object with the reason in `why`.
    static Connection open(const Address& target, Clock::time_point deadline, std::string& why);

    bool is_open() const { return socket_.is_open(); }
    int descriptor() const { return socket_.get(); }
    Address local_address() const;
    Address peer_address() const;
    void close() { socket_.close(); }

    /// Hands a message over to be sent; what the network doesn't take at once is kept and sent by flush().
    /// Gives false if the connection is broken.
    bool send(const std::string& message);
    /// Sends what is kept, as far as that goes without waiting. False if the connection is broken.
    bool flush();
    /// Sends all that is kept, at most until the deadline.
    bool flush_until(Clock::time_point deadline);
    std::size_t unsent() const { return outgoing_.size(); }

    /// Takes in what has arrived. False if the other side closed the connection, or it broke, or what arrives
    /// is no message; complete messages that came before can still be taken.
    bool receive();
    /// The next complete message, if there is one.
    std::optional<std::string> next_message();
    /// Waits for the next message; none if the deadline passes or the connection ends first.
    std::optional<std::string> await_message(Clock::time_point deadline);

  private:
    Descriptor socket_;
    bool ended_ = false;  // by the other side; what it sent before may still be taken
    std::string outgoing_, incoming_;
};

/// Waits until the descriptor can be read from (or written to). False if the deadline passes first.
bool await_readable(int descriptor, Clock::time_point deadline);
bool await_writable(int descriptor, Clock::time_point deadline);

}  // namespace terrane::net
