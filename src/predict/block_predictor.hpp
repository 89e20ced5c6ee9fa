#pragma once

#include <functional>

#include "predict/blending.hpp"
#include "predict/window_feeder.hpp"

namespace terrane::predict {

/// What a block cost.
struct BlockWork {
    std::int64_t windows = 0;   ///< through the network
    double waited_seconds = 0;  ///< for the files
    double network_seconds = 0;
};

/// Predicts one block: hands its rows out from top to bottom, each once. `progress` is told after every
/// batch what the block has cost so far. `batches` are the slots to read into, as for WindowFeeder.
BlockWork predict_block(SceneSource& source, WindowClassifier& classifier, const WindowGrid& grid,
                        const Block& block, std::vector<std::unique_ptr<WindowBatch>>& batches,
                        const BlendAccumulator::RowConsumer& consumer,
                        const std::function<void(const BlockWork&)>& progress);

}  // namespace terrane::predict
