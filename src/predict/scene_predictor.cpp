#include "predict/scene_predictor.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "base/error.hpp"
#include "base/leftovers.hpp"
#include "base/process_memory.hpp"
#include "predict/block_predictor.hpp"
#include "predict/block_writer.hpp"
#include "predict/map_assembly.hpp"
#include "raster/mosaic.hpp"

namespace terrane::predict {

namespace {

constexpr std::int64_t batches_in_memory = 3;
constexpr std::size_t least_cache = std::size_t{32} << 20;
constexpr std::size_t most_cache = std::size_t{512} << 20;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

WindowGrid window_grid(const SceneSource& source, std::int64_t window, const SceneSettings& settings) {
    std::int64_t step = 1;
    for (const SourceModality& modality : source.modalities()) step = std::lcm(step, modality.scale);
    if (window % step != 0) {
        throw Error(
            ExitCode::config_invalid, 542,
            fmt::format(
                "a window of {} pixels is no multiple of {}, which the scales of the modalities need.",
                window, step),
            "Choose another predict.window.");
    }
    const std::int64_t stride = stride_for_overlap(window, settings.overlap, step);
    return {WindowAxis({source.height(), window, stride, step, settings.blend}),
            WindowAxis({source.width(), window, stride, step, settings.blend})};
}

}  // namespace

ScenePlan plan_scene(const SceneSource& source, const WindowClassifier& classifier,
                     const MapProducts& products, const SceneSettings& settings,
                     comm::Communicator& communicator) {
    // The ranks agree on what the neediest of them needs and the poorest may use.
    std::array<std::int64_t, 2> agreed{static_cast<std::int64_t>(settings.process_bytes),
                                       -static_cast<std::int64_t>(settings.memory_budget)};
    communicator.max(agreed);
    MemoryNeeds needs;
    needs.process = static_cast<std::size_t>(agreed[0]);
    needs.budget = static_cast<std::size_t>(-agreed[1]);
    needs.network = settings.network_bytes;
    needs.raster_cache = std::clamp(needs.budget / 8, least_cache, most_cache);
    needs.assembly = assembly_bytes;
    needs.output_row = products.row_bytes();
    needs.batch = classifier.batch();
    needs.batches_ahead = batches_in_memory;
    WindowGrid grid = window_grid(source, classifier.window(), settings);
    BlockPlan blocks =
        plan_blocks(grid, source.modalities(), classifier.classes(), communicator.size(), needs);
    return {std::move(grid), std::move(blocks), needs.raster_cache};
}

SceneReport predict_scene(SceneSource& source, const raster::Grid& grid, WindowClassifier& classifier,
                          const MapProducts& products, const ScenePlan& plan,
                          comm::Communicator& communicator,
                          const std::function<void(const RankProgress&)>& progress,
                          const std::function<void()>& working) {
    const double start = now();
    TERRANE_ASSERT(static_cast<std::int64_t>(products.classes.size()) == classifier.classes(),
                   "{} classes in the map, {} in the network", products.classes.size(), classifier.classes());
    return_large_blocks_at_once();
    raster::limit_raster_cache(plan.raster_cache);
    std::string owner = process_tag();
    communicator.broadcast(owner, 0);
    const PartsFolder folder(products.map, owner);

    const auto ranks = static_cast<std::size_t>(communicator.size());
    const auto rank = static_cast<std::size_t>(communicator.rank());
    const std::vector<Block>& blocks = plan.blocks.blocks;
    RankProgress state;
    state.pixels_per_window = plan.grid.rows.layout().stride * plan.grid.columns.layout().stride;
    for (std::size_t b = rank; b < blocks.size(); b += ranks) {
        state.all_windows += plan.grid.rows.windows_of(blocks[b].rows).size() *
                             plan.grid.columns.windows_of(blocks[b].columns).size();
    }
    {
        std::vector<std::unique_ptr<WindowBatch>> batches;
        for (std::int64_t i = 0; i < batches_in_memory; ++i) {
            batches.push_back(
                std::make_unique<WindowBatch>(source.modalities(), classifier.window(), classifier.batch()));
        }
        for (std::size_t b = rank; b < blocks.size(); b += ranks) {
            BlockWriter writer(products, grid, blocks[b], b, folder);
            const BlockWork work = predict_block(
                source, classifier, plan.grid, blocks[b], batches,
                [&](const BlendedRow& row) { writer.add(row); },
                [&](const BlockWork& so_far) {
                    RankProgress current = state;
                    current.windows += so_far.windows;
                    current.waited_seconds += so_far.waited_seconds;
                    current.seconds = now() - start;
                    progress(current);
                });
            state.windows += work.windows;
            writer.finish();
            state.waited_seconds += work.waited_seconds;
        }
    }
    const double own_seconds = now() - start;
    std::array<double, 3> sums{static_cast<double>(state.windows), state.waited_seconds, own_seconds};
    communicator.sum(sums);
    if (communicator.rank() == 0) {
        raster::limit_raster_cache(std::min(plan.raster_cache, assembly_cache));
        return_freed_memory();
        assemble_products(products, grid, blocks, folder, working);
    }
    std::array<std::int64_t, 1> peak{static_cast<std::int64_t>(process_memory().peak)};
    communicator.max(peak);

    SceneReport report;
    report.pixels = source.height() * source.width();
    report.windows = static_cast<std::int64_t>(sums[0]);
    report.seconds = now() - start;
    report.io_wait = sums[1] / std::max(sums[2], 1e-9);
    report.peak_bytes = peak[0];
    return report;
}

}  // namespace terrane::predict
