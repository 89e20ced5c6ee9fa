#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/connection.hpp"
#include "net/listener.hpp"

namespace terrane::comm {

/// What a rank says about itself when the ranks meet.
struct Member {
    int rank = 0;
    int size = 1;
    std::string host;
    std::string machine;       ///< differs between machines that have the same name
    int local_rank = -1;       ///< as the launcher says; -1: it doesn't
    std::int64_t process = 0;  ///< number on its machine
    std::int64_t started = 0;  ///< when, in the machine's ticks: numbers are used again
    std::string program;       ///< hash
    std::string job{};         ///< only members with the same text meet
    std::string address{};     ///< numeric, as the other ranks reach it

    /// "rank 2 on hostb"
    std::string place() const;
};

/// This process as a member; `rank`, `size` and what the launcher says are the caller's to set.
Member this_process();

/// All members know each other; rank 0 is connected with each of the others.
struct Party {
    std::vector<Member> members;  ///< by rank
    std::vector<net::Connection>
        links{};  ///< on rank 0: to each rank, by rank, the first unused; else: one, to rank 0

    int rank = 0;
    /// Gives each rank a text from this one (by rank) and returns theirs for this one. Collective.
    std::vector<std::string> exchange(const std::vector<std::string>& texts, net::Clock::time_point deadline);
};

/// An error that rank 0 found and tells itself; the other ranks end with it in silence.
class Refused : public Error {
  public:
    using Error::Error;
};

/// How the ranks find each other, and for how long they try.
struct MeetingPlace {
    std::string host;                       ///< name or address, for messages and to connect to
    std::vector<net::Address> addresses{};  ///< if not empty: connect to these instead
    int port = 0;
    int ports = 1;  ///< as many ports from `port` on are tried
    std::chrono::duration<double> limit{};
    std::string interface_filter{};  ///< in NCCL_SOCKET_IFNAME's notation
    std::string file{};              ///< where rank 0 says where it is, if not empty
    /// Where rank 0 is, asked before each try in place of the above; nothing, and why, if nobody knows yet.
    struct Notice {
        std::vector<net::Address> addresses{};
        int port = 0;
    };
    std::function<std::optional<Notice>(std::string& why)> look_up{};
    std::string fix;  ///< what to do if somebody doesn't come

    /// For messages: "node1:29500", "the address in /shared/meeting".
    std::string name(int at_port) const;
};

/// Is told now and then what a meeting waits for, while it waits for long.
using MeetingNotice = std::function<void(const std::string& text)>;

/// Rank 0: waits on the listener for the others; `notice` hears who is missing. Throws
/// Error 69: E0121 (another program), E0125 (not all came in time), E0127 (members contradict each other).
Party receive_members(net::Listener& listener, Member self, const MeetingPlace& place,
                      const MeetingNotice& notice);

/// The others: go to rank 0; `notice` hears why it can't be reached. Throws Error E0125 (69) if it can't be
/// reached in time, and Refused with what receive_members() throws.
Party join(Member self, const MeetingPlace& place, const MeetingNotice& notice);

}  // namespace terrane::comm
