#pragma once

#include <string>
#include <vector>

#include "comm/failure.hpp"
#include "comm/flight_record.hpp"
#include "comm/rendezvous.hpp"

namespace terrane::comm {

/// What rank 0 knows about a rank when a job breaks.
struct RankEvidence {
    RankState state;                   ///< as it last said
    bool gone = false;                 ///< its connection closed without a goodbye
    bool silent = false;               ///< nothing was heard from it for the time limit
    double unheard = 0;                ///< seconds since it was last heard
    bool answered = true;              ///< when it was asked for its last collectives
    std::vector<std::string> lines{};  ///< these
};

/// "in 'barrier' (collective 12) for 5.2 s, step 57, tile a/3"
std::string describe(const RankState& state);

/// E0803 for ranks that are gone, E0804 for silent ones, each by name with what it was doing. `self` is the
/// rank that says so. At least one member is gone or silent.
Failure explain_loss(const std::vector<Member>& members, const std::vector<RankEvidence>& evidence, int self);

/// E0802 or E0801: nobody is lost, but collectives fail or don't come to an end. Names the ranks that don't
/// take part. `complaint` is what one of the others said.
Failure explain_stall(const std::vector<Member>& members, const std::vector<RankEvidence>& evidence,
                      const Failure& complaint);

/// The last collectives of every rank, for the run folder; with at most `lines_per_rank` lines for each.
std::string format_evidence(const std::vector<Member>& members, const std::vector<RankEvidence>& evidence,
                            std::size_t lines_per_rank);

}  // namespace terrane::comm
