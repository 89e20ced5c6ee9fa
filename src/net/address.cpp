#include "net/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace terrane::net {

namespace {

Address address_of(const sockaddr* raw, int port) {
    Address address;
    address.length = raw->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    std::memcpy(&address.storage, raw, address.length);
    const auto network_port = htons(static_cast<std::uint16_t>(port));
    if (raw->sa_family == AF_INET6) {
        reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port = network_port;
    } else {
        reinterpret_cast<sockaddr_in&>(address.storage).sin_port = network_port;
    }
    return address;
}

}  // namespace

std::string Address::host() const {
    std::array<char, NI_MAXHOST> name{};
    if (::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, name.data(), name.size(), nullptr,
                      0, NI_NUMERICHOST) != 0)
        return "?";
    return name.data();
}

int Address::port() const {
    return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                               : reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

Address Address::with_port(int port) const {
    return address_of(reinterpret_cast<const sockaddr*>(&storage), port);
}

std::string Address::text() const {
    return storage.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host(), port())
                                         : fmt::format("{}:{}", host(), port());
}

bool Address::is_loopback() const {
    if (storage.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr) != 0;
    const std::uint32_t address = ntohl(reinterpret_cast<const sockaddr_in&>(storage).sin_addr.s_addr);
    return (address >> 24) == 127;
}

std::vector<Address> resolve(const std::string& host, int port, std::string& why) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* raw = nullptr;
    if (const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw); failure != 0) {
        why = ::gai_strerror(failure);
        return {};
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(raw, ::freeaddrinfo);
    std::vector<Address> addresses;
    for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
        if (one->ai_family == AF_INET || one->ai_family == AF_INET6)
            addresses.push_back(address_of(one->ai_addr, port));
    }
    if (addresses.empty()) why = "no IPv4 or IPv6 address";
    return addresses;
}

bool interface_is_chosen(const std::string& interface, const std::string& filter) {
    std::string_view list = filter;
    const bool exclude = list.starts_with('^');
    if (exclude) list.remove_prefix(1);
    const bool whole = list.starts_with('=');
    if (whole) list.remove_prefix(1);
    if (list.empty()) return true;
    bool named = false;
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        // A port or address behind a colon, which NCCL allows, is of no interest here.
        std::string_view name = list.substr(0, comma);
        name = name.substr(0, name.find(':'));
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        if (name.empty()) continue;
        named = named || (whole ? interface == name : interface.starts_with(name));
    }
    return named != exclude;
}

std::vector<InterfaceAddress> interface_addresses(const std::string& filter) {
    ifaddrs* raw = nullptr;
    if (::getifaddrs(&raw) != 0) return {};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(raw, ::freeifaddrs);
    std::vector<InterfaceAddress> chosen;
    for (const ifaddrs* one = all.get(); one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
        const int family = one->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        // What is left when some are excluded is not meant to be loopback.
        if ((one->ifa_flags & IFF_LOOPBACK) != 0 && filter.starts_with('^')) continue;
        if (interface_is_chosen(one->ifa_name, filter))
            chosen.push_back({one->ifa_name, address_of(one->ifa_addr, 0)});
    }
    const auto order = [](const InterfaceAddress& entry) {
        return (entry.address.is_loopback() ? 2 : 0) + (entry.address.storage.ss_family == AF_INET6 ? 1 : 0);
    };
    std::stable_sort(chosen.begin(), chosen.end(),
                     [&](const auto& a, const auto& b) { return order(a) < order(b); });
    return chosen;
}

std::string interface_of(const Address& address) {
    const std::string host = address.host();
    for (const InterfaceAddress& entry : interface_addresses("")) {
        if (entry.address.host() == host) return entry.interface;
    }
    return {};
}

}  // namespace terrane::net
