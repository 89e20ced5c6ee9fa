#pragma once

#include <functional>

#include "comm/communicator.hpp"
#include "predict/block_plan.hpp"
#include "predict/map_products.hpp"

namespace terrane::predict {

/// How windows overlap and what they may cost.
struct SceneSettings {
    double overlap = 0.5;
    Blend blend = Blend::hann;
    std::size_t memory_budget = 0;  ///< bytes per rank
    std::size_t process_bytes = 0;  ///< resident before prediction, weights and libraries included
    std::size_t network_bytes = 0;  ///< what the classifier holds
};

/// How a scene will be computed; equal on all ranks.
struct ScenePlan {
    WindowGrid grid;
    BlockPlan blocks;
    std::size_t raster_cache = 0;
};

/// What a scene cost, over all ranks.
struct SceneReport {
    std::int64_t pixels = 0;
    std::int64_t windows = 0;     ///< through the network, those computed twice counted twice
    double seconds = 0;           ///< until the map is published
    double io_wait = 0;           ///< fraction of the ranks' time spent waiting for the files
    std::int64_t peak_bytes = 0;  ///< resident memory of the rank that needed most
};

/// Told after every batch: windows done and in all on this rank, and seconds waited for the files so far.
struct RankProgress {
    std::int64_t windows = 0;
    std::int64_t all_windows = 0;
    std::int64_t pixels_per_window = 0;  ///< of the map
    double waited_seconds = 0;
    double seconds = 0;
};

/// Plans a scene. Collective. Throws Error E0750 if a rank's memory does not suffice.
ScenePlan plan_scene(const SceneSource& source, const WindowClassifier& classifier,
                     const MapProducts& products, const SceneSettings& settings,
                     comm::Communicator& communicator);

/// Predicts a scene and writes its products: every rank its blocks, the first rank puts them together.
/// Collective. The files' bytes do not depend on the number of ranks, the memory or the batch. After an error
/// nothing of it is left. `working` is called often while the result is put together and must not throw.
/// Throws the errors of the source and E0903.
SceneReport predict_scene(SceneSource& source, const raster::Grid& grid, WindowClassifier& classifier,
                          const MapProducts& products, const ScenePlan& plan,
                          comm::Communicator& communicator,
                          const std::function<void(const RankProgress&)>& progress,
                          const std::function<void()>& working = {});

}  // namespace terrane::predict
