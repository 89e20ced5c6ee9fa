// Reading tiles, and feeding them to a network.
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "bench/io.hpp"
#include "bench/rank_speed.hpp"
#include "data/feeder.hpp"
#include "data/store_source.hpp"
#include "tiles/tile_memory.hpp"

namespace terrane::bench {

namespace {

// What a rank reads stays well below the page cache of any machine that trains.
constexpr std::size_t most_bytes_per_rank = std::size_t{512} << 20;

/// One reading thread's tools.
struct Reader {
    explicit Reader(const tiles::TileStore& store) : reader(store), memory(store.manifest()) {}
    tiles::TileReader reader;
    tiles::TileMemory memory;
};

/// Runs work(thread) on several threads; the first exception is thrown here.
void on_threads(int threads, const std::function<void(int)>& work) {
    if (threads == 1) return work(0);
    std::vector<std::exception_ptr> failures(static_cast<std::size_t>(threads));
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t) {
        running.emplace_back([&, t] {
            try {
                work(t);
            } catch (...) {
                failures[static_cast<std::size_t>(t)] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : running) thread.join();
    for (const auto& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
}

/// Copies each thread's block piece by piece into memory of one tile: what reading would cost if files were
/// memory.
void copy_tiles(std::vector<std::vector<std::byte>>& sources, std::vector<std::byte>& targets,
                std::size_t tile_bytes, int passes) {
    on_threads(static_cast<int>(sources.size()), [&](int t) {
        auto& source = sources[static_cast<std::size_t>(t)];
        std::byte* target = targets.data() + static_cast<std::size_t>(t) * tile_bytes;
        for (int pass = 0; pass < passes; ++pass) {
            for (std::size_t at = 0; at < source.size(); at += tile_bytes) {
                std::memcpy(target, source.data() + at, tile_bytes);
                source[at] = target[tile_bytes - 1];  // so that no copy can be left out
            }
        }
    });
}

/// Input slots of a network that does not exist.
class Slots {
  public:
    Slots(const data::TileLayout& layout, std::int64_t batch, std::int64_t crop, device::Backend& backend) {
        for (const data::ModalityLayout& modality : layout.modalities) {
            slots.modalities.push_back(tensor(
                backend,
                {DType::f32, Shape{batch, crop / modality.scale, crop / modality.scale, modality.bands}}));
        }
        slots.presence =
            tensor(backend, {DType::f32, Shape{batch, static_cast<std::int64_t>(layout.modalities.size())}});
        slots.labels = tensor(backend, {DType::u8, Shape{batch, crop, crop}});
    }
    data::InputSlots slots;

  private:
    TensorView tensor(device::Backend& backend, const TensorSpec& spec) {
        memory_.push_back(backend.allocate(spec.bytes()));
        return {memory_.back().data(), spec};
    }
    std::vector<device::Buffer> memory_;
};

/// Keeps a core busy, as a training step does.
void compute_for(double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
    }
}

}  // namespace

TileReading measure_tile_reading(const tiles::TileStore& store, int readers, const IoOptions& options,
                                 comm::Communicator& communicator) {
    std::vector<std::unique_ptr<Reader>> tools;
    for (int t = 0; t < readers; ++t) tools.push_back(std::make_unique<Reader>(store));
    TileReading result;
    result.edge = store.manifest().tile;
    result.tile_bytes = tools[0]->memory.bytes();
    result.readers = readers;
    const auto limit = static_cast<std::int64_t>(most_bytes_per_rank / result.tile_bytes);
    std::vector<std::int64_t> own;  // each rank begins elsewhere
    const std::int64_t first = store.size() * communicator.rank() / communicator.size();
    for (std::int64_t i = 0; i < std::min(store.size(), std::max<std::int64_t>(limit, readers)); ++i)
        own.push_back((first + i) % store.size());
    result.tiles = static_cast<std::int64_t>(own.size());
    const double bytes = static_cast<double>(own.size()) * static_cast<double>(result.tile_bytes);

    const auto read_all = [&](int passes) {
        on_threads(readers, [&](int t) {
            Reader& tool = *tools[static_cast<std::size_t>(t)];
            for (int pass = 0; pass < passes; ++pass) {
                for (std::size_t i = static_cast<std::size_t>(t); i < own.size();
                     i += static_cast<std::size_t>(readers))
                    tool.reader.read(own[i], tool.memory.buffers());
            }
        });
    };
    read_all(1);  // into the page cache
    const double once = seconds_of([&] { read_all(1); });
    const int passes = std::max(1, static_cast<int>(options.seconds / options.repetitions / once));
    SpeedOfRanks reading(communicator);
    reading.repeat(options.repetitions, [&] {
        read_all(passes);
        return bytes * passes;
    });
    result.bytes_per_second = reading.result();

    const std::size_t share = std::max<std::size_t>(1, own.size() / tools.size()) * result.tile_bytes;
    std::vector<std::vector<std::byte>> sources(tools.size(), std::vector<std::byte>(share, std::byte{1}));
    std::vector<std::byte> targets(tools.size() * result.tile_bytes);
    SpeedOfRanks copying(communicator);
    copying.repeat(options.repetitions, [&] {
        copy_tiles(sources, targets, result.tile_bytes, passes);
        return static_cast<double>(share * sources.size()) * passes;
    });
    result.copied_per_second = copying.result();
    return result;
}

Feeding measure_feeding(const tiles::TileStore& store, const config::Config& config, const IoOptions& options,
                        device::Backend& backend, comm::Communicator& communicator) {
    data::StoreSource source(store, tiles::Split::train, config);
    const data::Sampler sampler(config.sampler, config.runtime.seed, source);
    const data::Augmentation augmentation(config.augment, config.model.modality_dropout, source.layout(),
                                          config.runtime.seed);
    const data::BatchPlan plan{communicator.size(), options.batch, 1};
    const data::TrainingOrder order(sampler, augmentation, plan, communicator.rank());
    Slots slots(source.layout(), options.batch, augmentation.crop(), backend);

    Feeding result;
    result.edge = augmentation.crop();
    result.batch = options.batch;
    result.step_seconds = options.step_seconds;
    const auto batch = static_cast<double>(options.batch);
    const double part = options.seconds / options.repetitions;
    {
        data::Feeder feeder(source, order, options.batch, 0, config.train.prefetch, backend.sample_kernels());
        for (std::int64_t i = 0; i < 2 * config.train.prefetch; ++i) feeder.next(slots.slots);
        SpeedOfRanks feeding(communicator);
        feeding.repeat(options.repetitions, [&] {
            const auto begin = std::chrono::steady_clock::now();
            double tiles = 0;
            do {
                feeder.next(slots.slots);
                backend.synchronise();
                tiles += batch;
            } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < part);
            return tiles;
        });
        result.tiles_per_second = feeding.result();
    }
    data::Feeder feeder(source, order, options.batch, 0, config.train.prefetch, backend.sample_kernels());
    feeder.next(slots.slots);
    const double waited_before = feeder.wait_seconds();
    const double all = seconds_of([&] {
        const int steps =
            std::max(5, static_cast<int>(options.seconds / std::max(1e-3, options.step_seconds)));
        for (int step = 0; step < steps; ++step) {
            compute_for(options.step_seconds);
            feeder.next(slots.slots);
        }
    });
    std::array<double, 1> io_wait{(feeder.wait_seconds() - waited_before) / all};
    communicator.max(io_wait);
    result.io_wait = io_wait[0];
    return result;
}

}  // namespace terrane::bench
