#pragma once

#include <optional>

#include "net/connection.hpp"

namespace terrane::net {

/// A TCP port on all interfaces of this machine (IPv4 and IPv6 where there is IPv6).
class Listener {
  public:
    /// Port 0 takes any free one. On failure the object is closed and `failure` holds the errno.
    Listener(int port, int& failure);

    bool is_open() const { return socket_.is_open(); }
    int descriptor() const { return socket_.get(); }
    int port() const;
    /// The next waiting connection, if there is one.
    std::optional<Connection> accept();

  private:
    Descriptor socket_;
};

}  // namespace terrane::net
