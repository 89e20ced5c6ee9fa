#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "predict/window_feeder.hpp"

namespace terrane::predict {

/// What predicting a scene needs besides what depends on its layout.
struct MemoryNeeds {
    std::size_t budget = 0;        ///< bytes that a rank may use in all (--ram)
    std::size_t process = 0;       ///< bytes of the process before prediction
    std::size_t network = 0;       ///< parameters, program, staging
    std::size_t raster_cache = 0;  ///< GDAL's block cache
    std::size_t assembly = 0;      ///< of putting the map together, beside the raster cache
    std::size_t output_row = 0;    ///< bytes per pixel and row that wait to be written
    std::int64_t batch = 1;
    std::int64_t batches_ahead = 2;  ///< batches in memory at once
};

/// One line of the estimate.
struct MemoryItem {
    std::string what;
    std::size_t bytes = 0;
};

/// The scene cut into blocks, and which rank computes which: block b goes to rank b % ranks.
struct BlockPlan {
    std::vector<Block> blocks;
    std::int64_t windows = 0;        ///< computed in all, those that several blocks need counted for each
    std::vector<MemoryItem> memory;  ///< of the largest block

    std::size_t bytes() const;
    /// "process 85, network 120, ... together 410 of 1024 MB": for the user.
    std::string memory_text() const;
};

/// Full-width blocks if they fit into the memory, narrower ones otherwise; as long as possible, so that few
/// windows are computed twice, but so many that all ranks have equal work. Block edges lie on multiples of
/// the stride. Throws Error E0750 (69) if not even the narrowest block fits.
BlockPlan plan_blocks(const WindowGrid& grid, const std::vector<SourceModality>& modalities,
                      std::int64_t classes, int ranks, const MemoryNeeds& needs);

}  // namespace terrane::predict
