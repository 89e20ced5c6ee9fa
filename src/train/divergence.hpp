#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "device/backend.hpp"
#include "graph/parameter_store.hpp"

/// What is kept of an update whose loss or gradient is not finite.
namespace terrane::train {

/// One micro-step of the mini-batch on one rank.
struct MicroStepRecord {
    std::int64_t rank = 0;
    std::int64_t micro_step = 0;
    double loss = 0;                 ///< sum over the pixels of its last pass
    std::vector<std::string> tiles;  ///< TileSource::describe
};

struct TensorRange {
    enum class Kind { parameter, gradient, state };

    std::string name;
    Kind kind = Kind::parameter;
    std::int64_t elements = 0;
    std::int64_t not_finite = 0;
    double largest = 0;  ///< absolute value of the finite elements
};

struct Divergence {
    std::int64_t step = 0;                     ///< of the mini-batch, from 1
    std::string what;                          ///< "loss" or "gradient"
    std::int64_t skipped_in_row = 0;           ///< this one included
    std::vector<MicroStepRecord> micro_steps;  ///< of all ranks
    std::vector<TensorRange> tensors;          ///< of this rank
};

/// The records of all ranks, by rank, on every rank. Collective.
std::vector<MicroStepRecord> gather_records(const std::vector<MicroStepRecord>& own,
                                            comm::Communicator& communicator);
/// " Tiles of rank 1: a, b." for every rank with a loss that is not finite; of all ranks if there is none.
std::string suspects_text(const std::vector<MicroStepRecord>& records);
/// Ranges of all parameters, gradients and saved states.
std::vector<TensorRange> tensor_ranges(const graph::ParameterStore& store, device::Backend& backend);
/// diverged.json.
std::string to_json(const Divergence& divergence);

}  // namespace terrane::train
