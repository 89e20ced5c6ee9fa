#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device/collectives.hpp"

namespace terrane::comm {

/// The ranks of a job as one group. Every function but rank(), size() and wait() is collective: all ranks
/// call it in the same order with equal counts. Results are equal bits for equal inputs and world size. Each
/// throws Error 82: E0801 when the message layer fails, E0802 when a rank doesn't take part within the time
/// limit.
class Communicator : public device::Collectives {
  public:
    /// In place, element by element over all ranks.
    virtual void max(std::span<double> values) = 0;
    virtual void max(std::span<std::int64_t> values) = 0;

    /// The root's text on every rank; the others' content is replaced.
    virtual void broadcast(std::string& bytes, int root) = 0;
    /// The text of every rank, by rank, on every rank.
    virtual std::vector<std::string> all_gather(const std::string& bytes) = 0;
    /// The text of every rank, by rank, on `root`; empty elsewhere.
    virtual std::vector<std::string> gather(const std::string& bytes, int root) = 0;
    virtual void barrier() = 0;
    /// Sends `own` to `partner`, which does the same, and receives its values. Between the two of them only;
    /// every rank takes part in as many such exchanges, in the same order.
    virtual void exchange_with(int partner, std::span<const float> own, std::span<float> theirs) = 0;
};

/// The group of one rank without a message layer.
std::unique_ptr<Communicator> self_communicator();

}  // namespace terrane::comm
