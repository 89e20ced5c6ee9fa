#include "comm/tcp_layer.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "comm/meeting_file.hpp"

namespace terrane::comm {

namespace {

// What tells this job's ranks from those of another that tries the same ports.
std::string job_key(const Launch& launch) {
    std::string key;
    for (const char* name :
         {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID", "SLURM_STEP_ID"})
        key += environment_variable(name).value_or("") + "\n";
    if (!launch.meeting_file.empty())
        return sha256(fmt::format("{}{}\n{}", key, launch.meeting_file, launch.promised_ranks));
    if (launch.ports == 1) return sha256(key);  // the user chose: who comes there belongs together
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string command{std::istreambuf_iterator<char>(file), {}};
    std::error_code failed;
    key += command + std::filesystem::current_path(failed).string();
    return sha256(key + std::to_string(launch.promised_ranks));
}

net::Listener open_port(const Launch& launch, const Member& self) {
    int failure = 0;
    if (!launch.meeting_file.empty()) {  // nobody has to guess the port
        net::Listener listener(0, failure);
        if (listener.is_open()) return listener;
        throw Error(ExitCode::device_unavailable, 126,
                    fmt::format("no TCP port can be opened on {}: {}.", self.host, std::strerror(failure)),
                    "Look at the limits of this host.");
    }
    for (int port = launch.master_port; port < launch.master_port + launch.ports; ++port) {
        net::Listener listener(port, failure);
        if (listener.is_open()) return listener;
    }
    const std::string ports = launch.ports == 1 ? fmt::format("port {} is", launch.master_port)
                                                : fmt::format("ports {} to {} are", launch.master_port,
                                                              launch.master_port + launch.ports - 1);
    if (failure == EADDRINUSE) {
        throw Error(
            ExitCode::device_unavailable, 126,
            fmt::format("{} in use on {}, so the other ranks can't meet rank 0 there.", ports, self.host),
            "Choose another for all ranks with --master-port N or MASTER_PORT=N; another job may be "
            "starting on this host.");
    }
    throw Error(ExitCode::device_unavailable, 126,
                fmt::format("{} not to be opened on {}: {}.", ports, self.host, std::strerror(failure)),
                "Choose one from 1024 to 65535 with --master-port N or MASTER_PORT=N.");
}

}  // namespace

Party meet_over_tcp(const Launch& launch, Member self, std::chrono::duration<double> limit,
                    const std::string& interface_filter) {
    self.job = job_key(launch);
    MeetingPlace place;
    place.host = launch.master_host;
    place.port = launch.master_port;
    place.ports = launch.ports;
    place.limit = limit;
    place.interface_filter = interface_filter;
    place.fix = fmt::format(
        "Start every rank with MASTER_ADDR={} (rank 0's host) and the same MASTER_PORT, let a firewall pass "
        "that "
        "port, or choose the interface with NCCL_SOCKET_IFNAME. --collective-timeout sets the limit.",
        launch.master_host);
    if (!launch.meeting_file.empty()) {
        place.file = launch.meeting_file;
        place.ports = 1;
        place.look_up = [path = launch.meeting_file, job = self.job](std::string& why) {
            return MeetingFile::read(path, job, why);
        };
        place.fix =
            "Give every rank the same --dist-url file:///PATH on a file system that all hosts see, let a "
            "firewall pass TCP between the hosts, or choose the interface with NCCL_SOCKET_IFNAME. "
            "--collective-timeout sets the limit.";
    }
    const auto notice = [](const std::string& text) { log::warning("{}", text); };
    if (self.rank != 0) return join(std::move(self), place, notice);
    net::Listener listener = open_port(launch, self);
    std::optional<MeetingFile> file;
    if (!place.file.empty()) file.emplace(place.file, self.job, listener.port(), interface_filter);
    return receive_members(listener, std::move(self), place, notice);
}

}  // namespace terrane::comm
