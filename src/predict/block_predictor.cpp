#include "predict/block_predictor.hpp"

#include <chrono>

#include "base/error.hpp"

namespace terrane::predict {

namespace {

/// The shares of every window of a range, computed once per block.
std::vector<std::vector<float>> shares_of(const WindowAxis& axis, Range windows) {
    std::vector<std::vector<float>> shares;
    for (std::int64_t i = windows.begin; i < windows.end; ++i) shares.push_back(axis.shares(i));
    return shares;
}

}  // namespace

BlockWork predict_block(SceneSource& source, WindowClassifier& classifier, const WindowGrid& grid,
                        const Block& block, std::vector<std::unique_ptr<WindowBatch>>& batches,
                        const BlendAccumulator::RowConsumer& consumer,
                        const std::function<void(const BlockWork&)>& progress) {
    const std::int64_t window = classifier.window();
    TERRANE_ASSERT(window == grid.rows.layout().window && window == grid.columns.layout().window,
                   "the network's windows are {} wide", window);
    const Range window_rows = grid.rows.windows_of(block.rows);
    const Range window_columns = grid.columns.windows_of(block.columns);
    const auto row_shares = shares_of(grid.rows, window_rows);
    const auto column_shares = shares_of(grid.columns, window_columns);
    const auto values = static_cast<std::size_t>(window * window * classifier.classes());

    BlendAccumulator accumulator(block.rows, block.columns, window, classifier.classes(), consumer);
    WindowFeeder feeder(source, grid, block, batches);
    BlockWork work;
    while (const WindowBatch* batch = feeder.next()) {
        const auto start = std::chrono::steady_clock::now();
        const std::span<const float> probabilities = classifier.classify(*batch);
        work.network_seconds +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        for (std::size_t i = 0; i < batch->windows().size(); ++i) {
            const InputWindow& input = batch->windows()[i];
            accumulator.add({grid.rows.origin(input.row), grid.columns.origin(input.column),
                             row_shares[static_cast<std::size_t>(input.row - window_rows.begin)],
                             column_shares[static_cast<std::size_t>(input.column - window_columns.begin)],
                             probabilities.subspan(i * values, values), input.validity});
        }
        work.windows += static_cast<std::int64_t>(batch->windows().size());
        work.waited_seconds = feeder.waited_seconds();
        progress(work);
    }
    accumulator.finish();
    work.waited_seconds = feeder.waited_seconds();
    return work;
}

}  // namespace terrane::predict
