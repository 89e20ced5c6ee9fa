#pragma once

#include <cstdint>
#include <string>

#include "comm/flight_record.hpp"
#include "net/message.hpp"

/// What travels on the lifeline; the first number of a message says which it is.
namespace terrane::comm::lifeline {

enum Kind : std::int64_t {
    beat = 1,  ///< "I live": the sender's state
    failed,    ///< to rank 0: exit code, number and text of a failure
    ask,       ///< from rank 0: send a report
    report,    ///< to rank 0: the state, then the last collectives as lines
    verdict,   ///< from rank 0: exit code, print, place, leave
    end,       ///< from rank 0: leave with this exit code; then the ranks that are lost
    goodbye,   ///< the sender has finished
};

inline net::MessageWriter message(Kind kind) {
    return std::move(net::MessageWriter().add(kind));
}

inline void add(net::MessageWriter& writer, const RankState& state) {
    writer.add(state.begun).add(state.inside).add(state.kind);
    writer.add(static_cast<std::int64_t>(state.seconds * 1000)).add(state.step).add(state.activity);
}

inline RankState read_state(net::MessageReader& reader) {
    RankState state;
    state.begun = reader.integer();
    state.inside = reader.integer();
    state.kind = reader.text();
    state.seconds = static_cast<double>(reader.integer()) / 1000;
    state.step = reader.integer();
    state.activity = reader.text();
    return state;
}

}  // namespace terrane::comm::lifeline
