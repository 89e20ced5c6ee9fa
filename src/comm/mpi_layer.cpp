#include "comm/mpi_layer.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <random>

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/mpi_check.hpp"
#include "net/message.hpp"

namespace terrane::comm {

void mpi_failed(const char* expression, int code) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
    throw Error(
        ExitCode::peer_lost, 801,
        fmt::format("{} failed: {}.", expression, std::string(text.data(), static_cast<std::size_t>(length))),
        "Look for the first error in the log files of the other ranks.");
}

MpiLayer::Session::Session() {
    int running = 0;
    MPI_Initialized(&running);
    if (running == 0) {
        int provided = MPI_THREAD_SINGLE;
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
        begun_here = true;
    }
    // Without this every failing call would end the process before any of our checks sees its code.
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

MpiLayer::Session::~Session() {
    int finalized = 0;
    if (!begun_here || MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
    if (MPI_Finalize() != MPI_SUCCESS) std::fputs("warning: MPI_Finalize failed\n", stderr);
}

MpiLayer::MpiLayer(const Launch& launch) {
    int size = 1;
    TERRANE_MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    check_promise(launch, size);
    communicator_ = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD);
}

MpiLayer::~MpiLayer() {
    int finalized = 0;
    if (MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) communicator_->close();
}

Party MpiLayer::meet(Member self, std::chrono::duration<double> limit, const std::string& interface_filter) {
    MeetingPlace place;
    place.limit = limit;
    place.interface_filter = interface_filter;
    place.fix =
        "The ranks' heartbeats need TCP between the hosts: let a firewall pass it, or choose the interface "
        "with "
        "NCCL_SOCKET_IFNAME. --collective-timeout sets the limit.";
    std::string told;
    std::optional<net::Listener> listener;
    if (self.rank == 0) {
        int failure = 0;
        listener.emplace(0, failure);
        if (!listener->is_open()) {
            throw Error(
                ExitCode::device_unavailable, 126,
                fmt::format("no TCP port can be opened on {}: {}.", self.host, std::strerror(failure)),
                "The ranks' heartbeats need one.");
        }
        std::random_device random;
        self.job = fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
        net::MessageWriter message;
        message.add(self.job).add(listener->port()).add(self.host);
        for (const net::InterfaceAddress& entry : net::interface_addresses(interface_filter))
            message.add(entry.address.host());
        told = message.bytes();
    }
    communicator_->broadcast(told, 0);
    net::MessageReader reader(told);
    self.job = reader.text();
    place.port = static_cast<int>(reader.integer());
    place.host = reader.text();
    const auto notice = [](const std::string& text) { log::warning("{}", text); };
    if (self.rank == 0) return receive_members(*listener, self, place, notice);
    std::string why;
    while (!reader.complete() && !reader.failed()) {
        for (const net::Address& address : net::resolve(reader.text(), place.port, why))
            place.addresses.push_back(address);
    }
    return join(self, place, notice);
}

std::string MpiLayer::library() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "MPI of unknown version";
    std::string version(text.data(), static_cast<std::size_t>(length));
    version = version.substr(0, version.find_first_of(",\n"));
    if (version.starts_with("Open MPI v")) version.erase(9, 1);
    return version;
}

}  // namespace terrane::comm
