#include "comm/rendezvous.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "comm/process.hpp"
#include "net/message.hpp"

namespace terrane::comm {

namespace {

using net::Clock;
using net::MessageReader;
using net::MessageWriter;

const std::string greeting = "terrane rendezvous 1";
constexpr auto answer_time = std::chrono::seconds(2);  // a terrane answers much sooner; something else never
constexpr auto farewell_time = std::chrono::seconds(5);
constexpr auto retry_time = std::chrono::milliseconds(100);

enum Answer : std::int64_t { welcome = 1, elsewhere, complete, refused };

Clock::duration ticks(std::chrono::duration<double> limit) {
    return std::chrono::duration_cast<Clock::duration>(limit);
}

std::string pack(const Member& member) {
    MessageWriter message;
    message.add(greeting).add(member.rank).add(member.size).add(member.host).add(member.machine);
    message.add(member.local_rank).add(member.process).add(member.started).add(member.program);
    return message.add(member.job).add(member.address).bytes();
}

Member unpack(MessageReader& message) {
    Member member;
    if (message.text() != greeting) return member;
    member.rank = static_cast<int>(message.integer());
    member.size = static_cast<int>(message.integer());
    member.host = message.text().substr(0, 255);
    member.machine = message.text();
    member.local_rank = static_cast<int>(message.integer());
    member.process = message.integer();
    member.started = message.integer();
    member.program = message.text();
    member.job = message.text();
    member.address = message.text();
    return member;
}

std::string rank_list(const std::vector<int>& ranks) {
    return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

// Why these members can't be one job; none if they can.
std::optional<Refused> contradiction(const std::vector<Member>& members) {
    const std::string fix =
        "Start every rank once, with the same WORLD_SIZE, its own RANK and, on one host, its own LOCAL_RANK.";
    std::map<std::pair<std::string, int>, const Member*> seen;
    for (const Member& member : members) {
        if (member.local_rank < 0) continue;
        const auto [other, fresh] =
            seen.emplace(std::pair(member.host + member.machine, member.local_rank), &member);
        if (!fresh) {
            return Refused(ExitCode::device_unavailable, 127,
                           fmt::format("rank {} and rank {} both have local rank {} on {}.",
                                       other->second->rank, member.rank, member.local_rank, member.host),
                           fix);
        }
    }
    std::vector<std::string> different;
    for (const Member& member : members) {
        if (member.program != members[0].program)
            different.push_back(fmt::format("{} on {}", member.rank, member.host));
    }
    if (different.empty()) return std::nullopt;
    return Refused(ExitCode::device_unavailable, 121,
                   fmt::format("the program differs between rank 0 on {} and rank {}.", members[0].host,
                               fmt::join(different, ", rank ")),
                   "Start the same program with the same arguments on every rank.");
}

constexpr auto between_notices = std::chrono::seconds(30);

// Who gives others little time wants to know early what is missing.
Clock::duration first_notice(const MeetingPlace& place) {
    return std::min<Clock::duration>(std::chrono::seconds(10), ticks(place.limit / 2));
}

class Reception {
  public:
    Reception(net::Listener& listener, Member self, const MeetingPlace& place, const MeetingNotice& notice)
        : listener_(listener), place_(place), notice_(notice), began_(Clock::now()) {
        const auto size = static_cast<std::size_t>(self.size);
        party_.members.resize(size);
        party_.links.resize(size);
        arrived_.assign(size, false);
        arrived_[0] = true;
        party_.members[0] = std::move(self);
    }

    Party run() {
        const auto deadline = began_ + ticks(place_.limit);
        auto next_notice = began_ + first_notice(place_);
        while (!missing().empty()) {
            std::vector<pollfd> entries{{listener_.descriptor(), POLLIN, 0}};
            for (const net::Connection& guest : guests_) entries.push_back({guest.descriptor(), POLLIN, 0});
            ::poll(entries.data(), entries.size(), 200);
            while (auto guest = listener_.accept()) guests_.push_back(std::move(*guest));
            for (net::Connection& guest : guests_) hear(guest);
            std::erase_if(guests_, [](const net::Connection& guest) { return !guest.is_open(); });
            forget_the_gone();
            if (Clock::now() > deadline) end(too_late());
            if (Clock::now() > next_notice) {
                notice_(
                    fmt::format("waiting for {} at {}", rank_list(missing()), place_.name(listener_.port())));
                next_notice = Clock::now() + between_notices;
            }
        }
        settle_addresses();
        if (const auto refusal = contradiction(party_.members)) end(*refusal);
        MessageWriter roster;
        roster.add(complete);
        for (const Member& member : party_.members) roster.add(pack(member));
        for (std::size_t rank = 1; rank < party_.links.size(); ++rank) {
            if (!party_.links[rank].send(roster.bytes())) end(lost(party_.members[rank]));
        }
        return std::move(party_);
    }

  private:
    std::vector<int> missing() const {
        std::vector<int> ranks;
        for (std::size_t rank = 0; rank < arrived_.size(); ++rank) {
            if (!arrived_[rank]) ranks.push_back(static_cast<int>(rank));
        }
        return ranks;
    }

    void hear(net::Connection& guest) {
        const bool open = guest.receive();
        const auto message = guest.next_message();
        if (!message) {
            if (!open) guest.close();
            return;
        }
        MessageReader reader(*message);
        Member member = unpack(reader);
        if (!reader.complete()) return guest.close();
        const Member& self = party_.members[0];
        if (member.job != self.job) return turn_away(guest);
        if (member.size != self.size) {
            refuse(guest, fmt::format("{} was told of {} ranks, rank 0 on {} of {}.", member.place(),
                                      member.size, self.host, self.size));
        }
        if (member.rank < 0 || member.rank >= self.size) {
            refuse(guest, fmt::format("a process on {} calls itself rank {} of {}.", member.host, member.rank,
                                      self.size));
        }
        const auto rank = static_cast<std::size_t>(member.rank);
        if (arrived_[rank]) {
            // Where the port is searched, this is another job that was started with the same command.
            if (place_.ports > 1) return turn_away(guest);
            const Member& first = party_.members[rank];
            refuse(guest, fmt::format("two processes call themselves rank {}: {} on {} and {} on {}.",
                                      member.rank, first.process, first.host, member.process, member.host));
        }
        guest.send(MessageWriter().add(welcome).bytes());
        arrived_[rank] = true;
        party_.members[rank] = std::move(member);
        party_.links[rank] = std::move(guest);
    }

    static void turn_away(net::Connection& guest) {
        guest.send(MessageWriter().add(elsewhere).bytes());
        guest.close();
    }

    [[noreturn]] void refuse(net::Connection& guest, const std::string& message) {
        party_.links[0] = std::move(guest);  // to be told like the others
        end(Refused(ExitCode::device_unavailable, 127, message,
                    "Start every rank once, with the same WORLD_SIZE and its own RANK from 0 on."));
    }

    // Who arrived and left again, for instance because its own time was over, has not arrived.
    void forget_the_gone() {
        for (std::size_t rank = 1; rank < party_.links.size(); ++rank) {
            if (arrived_[rank] && !party_.links[rank].receive()) {
                arrived_[rank] = false;
                party_.links[rank].close();
            }
        }
    }

    // Ranks on rank 0's host may have come over loopback, where those of other hosts can't reach them.
    void settle_addresses() {
        std::string reachable;
        for (std::size_t rank = 1; rank < party_.links.size(); ++rank) {
            const net::Address local = party_.links[rank].local_address();
            if (!local.is_loopback()) reachable = local.host();
        }
        if (party_.members[0].address.empty()) {
            party_.members[0].address = reachable;
            if (reachable.empty() && party_.links.size() > 1)
                party_.members[0].address = party_.links[1].local_address().host();
        }
        for (std::size_t rank = 1; rank < party_.links.size(); ++rank) {
            if (party_.links[rank].peer_address().is_loopback() && !reachable.empty())
                party_.members[rank].address = reachable;
        }
    }

    Refused too_late() const {
        const std::vector<int> absent = missing();
        std::vector<std::string> present;
        for (std::size_t rank = 0; rank < arrived_.size(); ++rank) {
            if (arrived_[rank]) present.push_back(fmt::format("{} on {}", rank, party_.members[rank].host));
        }
        std::string interfaces;
        for (const net::InterfaceAddress& entry : net::interface_addresses(place_.interface_filter))
            interfaces +=
                fmt::format("{}{} {}", interfaces.empty() ? "" : ", ", entry.interface, entry.address.host());
        return {
            ExitCode::device_unavailable, 125,
            fmt::format("{} did not come to {} within {:g} s; there are rank {}. This host listens on: {}.",
                        rank_list(absent), place_.name(listener_.port()), place_.limit.count(),
                        fmt::join(present, ", rank "), interfaces),
            place_.fix};
    }

    static Refused lost(const Member& member) {
        return {ExitCode::device_unavailable, 125,
                fmt::format("{} left while the ranks met.", member.place()),
                "Look for the first error in that rank's output."};
    }

    [[noreturn]] void end(const Refused& refusal) {
        const std::string message = MessageWriter()
                                        .add(refused)
                                        .add(static_cast<std::int64_t>(refusal.exit_code()))
                                        .add(refusal.number())
                                        .add(refusal.message())
                                        .add(refusal.fix())
                                        .bytes();
        std::size_t told = 0;
        const auto tell = [&](net::Connection& link) {
            if (!link.is_open()) return;
            if (link.send(message) && link.flush_until(Clock::now() + std::chrono::seconds(1))) ++told;
        };
        for (net::Connection& link : party_.links) tell(link);
        for (net::Connection& guest : guests_) tell(guest);
        // Who is still on the way is to hear it too, rather than to knock in vain until its time is over.
        const auto deadline = Clock::now() + farewell_time;
        while (told + 1 < party_.links.size() && net::await_readable(listener_.descriptor(), deadline)) {
            if (auto guest = listener_.accept()) {
                tell(*guest);
                guests_.push_back(std::move(*guest));
            }
        }
        throw Error(refusal.exit_code(), refusal.number(), refusal.message(), refusal.fix());
    }

    net::Listener& listener_;
    const MeetingPlace& place_;
    const MeetingNotice& notice_;
    Clock::time_point began_;
    Party party_;
    std::vector<bool> arrived_;
    std::vector<net::Connection> guests_;  // connected, but who they are isn't known yet
};

// One try to be received at an address; an unconnected object if there is nobody who does.
net::Connection knock(const net::Address& target, Member& self, const MeetingPlace& place,
                      Clock::time_point deadline, std::string& why) {
    const auto patience = std::min(deadline, Clock::now() + answer_time);
    net::Connection link = net::Connection::open(target, patience, why);
    if (!link.is_open()) return link;
    if (self.address.empty()) {
        self.address = link.local_address().host();
        if (!place.interface_filter.empty()) {
            const auto chosen = net::interface_addresses(place.interface_filter);
            if (!chosen.empty()) self.address = chosen.front().address.host();
        }
    }
    Member own = self;
    link.send(pack(own));
    const auto answer = link.await_message(patience);
    if (!answer) {
        why = "something that is no terrane listens there";
        return {};
    }
    MessageReader reader(*answer);
    const std::int64_t kind = reader.integer();
    if (kind == welcome && reader.complete()) return link;
    if (kind == refused) {
        const auto code = static_cast<ExitCode>(reader.integer());
        const int number = static_cast<int>(reader.integer());
        const std::string message = reader.text();
        throw Refused(code, number, message, reader.text());
    }
    why = kind == elsewhere ? "another job listens there" : "something that is no terrane listens there";
    self.address.clear();
    return {};
}

}  // namespace

std::string MeetingPlace::name(int at_port) const {
    return file.empty() ? fmt::format("{}:{}", host, at_port) : "the address in " + file;
}

std::string Member::place() const {
    return fmt::format("rank {} on {}", rank, host);
}

Member this_process() {
    Member member;
    std::array<char, 256> name{};
    member.host = ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown-host";
    // The same for all containers of a machine and for nobody else.
    std::ifstream boot("/proc/sys/kernel/random/boot_id");
    boot >> member.machine;
    member.process = ::getpid();
    member.started = process_start(::getpid()).value_or(0);
    return member;
}

Party receive_members(net::Listener& listener, Member self, const MeetingPlace& place,
                      const MeetingNotice& notice) {
    if (!place.interface_filter.empty()) {
        const auto chosen = net::interface_addresses(place.interface_filter);
        if (!chosen.empty()) self.address = chosen.front().address.host();
    }
    return Reception(listener, std::move(self), place, notice).run();
}

Party join(Member self, const MeetingPlace& place, const MeetingNotice& notice) {
    const auto deadline = Clock::now() + ticks(place.limit);
    auto next_notice = Clock::now() + first_notice(place);
    std::string why = "no address";
    net::Connection link;
    std::string tried;
    while (!link.is_open()) {
        MeetingPlace::Notice at{place.addresses, place.port};
        if (place.look_up) {
            at = place.look_up(why).value_or(MeetingPlace::Notice{});
        } else if (at.addresses.empty()) {
            at.addresses = net::resolve(place.host, place.port, why);
        }
        tried.clear();
        for (const net::Address& address : at.addresses) {
            if (tried.empty()) tried = address.host();
            for (int port = at.port; port < at.port + place.ports && !link.is_open(); ++port) {
                link = knock(address.with_port(port), self, place, deadline, why);
            }
        }
        if (link.is_open()) break;
        if (Clock::now() > deadline) {
            std::string filter;
            for (const net::InterfaceAddress& entry : net::interface_addresses(place.interface_filter))
                filter +=
                    fmt::format("{}{} {}", filter.empty() ? "" : ", ", entry.interface, entry.address.host());
            throw Error(
                ExitCode::device_unavailable, 125,
                fmt::format("{} did not reach rank 0 at {}{} within {:g} s: {}. This host's interfaces: {}.",
                            self.place(), place.name(place.port),
                            tried.empty() || tried == place.host ? "" : fmt::format(" ({})", tried),
                            place.limit.count(), why, filter),
                place.fix);
        }
        if (Clock::now() > next_notice) {
            notice(fmt::format("{} does not reach rank 0 at {} yet: {}", self.place(), place.name(place.port),
                               why));
            next_notice = Clock::now() + between_notices;
        }
        std::this_thread::sleep_for(retry_time);
    }

    // Rank 0 has its own time limit and says what is wrong; it gets the time to do so.
    const auto answer = link.await_message(deadline + answer_time + std::chrono::seconds(3));
    if (!answer) {
        throw Error(
            ExitCode::device_unavailable, 125,
            fmt::format("rank 0 at {} left while the ranks met.", place.name(link.peer_address().port())),
            "Look for the first error in rank 0's output.");
    }
    MessageReader reader(*answer);
    const std::int64_t kind = reader.integer();
    if (kind == refused) {
        const auto code = static_cast<ExitCode>(reader.integer());
        const int number = static_cast<int>(reader.integer());
        const std::string message = reader.text();
        throw Refused(code, number, message, reader.text());
    }
    Party party;
    party.rank = self.rank;
    for (int rank = 0; kind == complete && rank < self.size && !reader.failed(); ++rank) {
        const std::string packed = reader.text();
        MessageReader one(packed);
        party.members.push_back(unpack(one));
    }
    if (static_cast<int>(party.members.size()) != self.size || !reader.complete()) {
        throw Error(
            ExitCode::device_unavailable, 125,
            fmt::format("rank 0 at {} gave an answer that can't be read.", link.peer_address().text()),
            "Start the same program on every rank.");
    }
    party.links.push_back(std::move(link));
    return party;
}

std::vector<std::string> Party::exchange(const std::vector<std::string>& texts, Clock::time_point deadline) {
    const auto lost = [](const Member& member) {
        return Error(ExitCode::peer_lost, 801,
                     fmt::format("{} left while the ranks exchanged their addresses.", member.place()),
                     "Look for the first error in that rank's output.");
    };
    const std::size_t size = members.size();
    const auto read = [size](const std::string& message) {
        MessageReader reader(message);
        std::vector<std::string> list;
        for (std::size_t i = 0; i < size; ++i) list.push_back(reader.text());
        return list;
    };
    const auto write = [](const std::vector<std::string>& list) {
        MessageWriter message;
        for (const std::string& text : list) message.add(text);
        return message.bytes();
    };
    if (rank != 0) {
        if (!links[0].send(write(texts)) || !links[0].flush_until(deadline)) throw lost(members[0]);
        const auto answer = links[0].await_message(deadline);
        if (!answer) throw lost(members[0]);
        return read(*answer);
    }
    std::vector<std::vector<std::string>> all{texts};
    for (std::size_t other = 1; other < size; ++other) {
        const auto message = links[other].await_message(deadline);
        if (!message) throw lost(members[other]);
        all.push_back(read(*message));
    }
    std::vector<std::string> own;
    for (std::size_t to = 0; to < size; ++to) {
        std::vector<std::string> column;
        for (std::size_t from = 0; from < size; ++from) column.push_back(all[from][to]);
        if (to == 0) {
            own = column;
        } else if (!links[to].send(write(column)) || !links[to].flush_until(deadline)) {
            throw lost(members[to]);
        }
    }
    return own;
}

}  // namespace terrane::comm
