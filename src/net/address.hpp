#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

namespace terrane::net {

/// A numeric IPv4 or IPv6 address with a port.
struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;

    std::string host() const;  ///< "10.0.0.1", "fe80::1%eth0"
    int port() const;
    Address with_port(int port) const;
    std::string text() const;  ///< "10.0.0.1:29500", "[::1]:29500"
    bool is_loopback() const;
};

/// What a host name (or a numeric address) stands for; empty if it can't be resolved, with the reason in
/// `why`.
std::vector<Address> resolve(const std::string& host, int port, std::string& why);

/// An address of this machine and the network interface it belongs to.
struct InterfaceAddress {
    std::string interface;  ///< "eth0"
    Address address;
};

/// Whether the interface is one that a filter in NCCL_SOCKET_IFNAME's notation chooses: a list of prefixes
/// separated by commas; "=" before the list asks for whole names, "^" excludes instead ("^=" both). An empty
/// filter chooses every interface.
bool interface_is_chosen(const std::string& interface, const std::string& filter);

/// The addresses of this machine's interfaces that are up and chosen by `filter`: IPv4 before IPv6, loopback
/// last. Loopback counts only where the filter names it or chooses everything.
std::vector<InterfaceAddress> interface_addresses(const std::string& filter);

/// The interface that has this address; empty if none has.
std::string interface_of(const Address& address);

}  // namespace terrane::net
