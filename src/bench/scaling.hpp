#pragma once

#include <filesystem>
#include <string>

#include "comm/communicator.hpp"
#include "config/config.hpp"
#include "data/tile_source.hpp"
#include "device/backend.hpp"

namespace terrane::bench {

/// How training scales is measured with the trainer itself: one call per number of ranks (bench/scaling.sh).
struct ScalingOptions {
    int warm_up = 3;
    int steps = 10;
    device::Collectives* device_sums = nullptr;  ///< TrainingSetup::device_sums
};

struct ScalingResult {
    double seconds = 0;        ///< of a step: median over the steps, of the slowest rank
    double least = 0;          ///< the fastest step's
    std::int64_t samples = 0;  ///< per step, of all ranks
    double exposed_communication =
        0;               ///< part of the time that the ranks stand still in sums, mean over the ranks
    double io_wait = 0;  ///< part of the time that the slowest rank waits for tiles
    std::size_t gradient_bytes = 0;  ///< summed per step
    double loss = 0;                 ///< of the last step
};

/// Trains config's network on `source` for warm_up + steps steps; what is written goes to `scratch`.
/// Collective.
ScalingResult measure_scaling(config::Config config, data::TileSource& source, const ScalingOptions& options,
                              device::Backend& backend, comm::Communicator& communicator,
                              const std::filesystem::path& scratch);

std::string scaling_json(const ScalingResult& result, const config::Config& config, int ranks, int nodes,
                         int threads, const std::string& source, const std::string& device,
                         const std::string& command);

}  // namespace terrane::bench
