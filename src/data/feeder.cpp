#include "data/feeder.hpp"

#include <chrono>

#include "base/activity.hpp"
#include "base/error.hpp"
#include "config/weak_maps.hpp"

namespace terrane::data {

namespace {

// Sample `index` of a batched tensor, without the batch dimension.
TensorView sample_of(const TensorView& batch, std::int64_t index) {
    const Shape& shape = batch.shape();
    TensorSpec spec{batch.dtype(), {}};
    spec.shape = shape.rank() == 4 ? Shape{shape[1], shape[2], shape[3]} : Shape{shape[1], shape[2]};
    return {batch.data + static_cast<std::size_t>(index) * spec.bytes(), spec};
}

// A position outside of any tile: labels come out as ignored, values as invalid.
constexpr device::SampleTransform nowhere{0, 0, -1e9, 0, 0, -1e9};

}  // namespace

Feeder::Feeder(TileSource& source, const SampleOrder& order, std::int64_t batch, std::int64_t first_batch,
               std::int64_t batches_ahead, device::SampleKernels& kernels)
    : source_(source), order_(order), kernels_(kernels), first_batch_(first_batch) {
    TERRANE_ASSERT(batch > 0 && batches_ahead > 0, "batch {}, {} batches ahead", batch, batches_ahead);
    const TileLayout& layout = source.layout();
    ring_.resize(static_cast<std::size_t>(batches_ahead));
    for (Slot& slot : ring_) {
        slot.samples.resize(static_cast<std::size_t>(batch));
        for (SampleDraw& sample : slot.samples) sample.modalities.resize(layout.modalities.size());
        for (std::int64_t i = 0; i < batch; ++i) {
            slot.tiles.emplace_back(layout);
            bytes_ += slot.tiles.back().bytes();
        }
    }
    current_ = ring_[0].samples;
    tiles_.reserve(static_cast<std::size_t>(batch));
    for (const ModalityLayout& modality : layout.modalities) {
        const std::int64_t edge = layout.edge / modality.scale;
        no_validity_.push_back(device::allocate_host(static_cast<std::size_t>(edge * edge)));
    }
    thread_ = std::thread([this] { read_ahead(); });
}

Feeder::~Feeder() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    freed_.notify_all();
    thread_.join();
}

void Feeder::read_ahead() {
    const std::int64_t batches = order_.batches();
    try {
        for (std::int64_t n = 0; batches < 0 || first_batch_ + n < batches; ++n) {
            {
                std::unique_lock lock(mutex_);
                freed_.wait(lock,
                            [&] { return stop_ || n < taken_ + static_cast<std::int64_t>(ring_.size()); });
                if (stop_) return;
            }
            read_slot(first_batch_ + n, ring_[static_cast<std::size_t>(n) % ring_.size()]);
            {
                const std::lock_guard lock(mutex_);
                read_ = n + 1;
            }
            filled_.notify_one();
        }
    } catch (...) {
        const std::lock_guard lock(mutex_);
        failure_ = std::current_exception();
    }
    filled_.notify_one();
}

void Feeder::read_slot(std::int64_t batch, Slot& slot) {
    order_.fill(batch, slot.samples);
    for (std::size_t i = 0; i < slot.samples.size(); ++i) {
        const std::int64_t tile = slot.samples[i].tile;
        if (tile < 0) continue;
        activity::set_reading(&source_, tile);
        try {
            source_.read(tile, slot.tiles[i]);
        } catch (const Error& error) {
            throw error.with_context(source_.describe(tile));
        }
    }
    activity::set_reading(nullptr, -1);
}

void Feeder::await_batch(std::unique_lock<std::mutex>& lock) {
    activity::set_work("waiting for tiles");
    const auto begin = std::chrono::steady_clock::now();
    filled_.wait(lock, [this] { return read_ > taken_ || failure_; });
    wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void Feeder::tell_tiles() {
    tiles_.clear();
    for (const SampleDraw& sample : current_) {
        if (sample.tile >= 0) tiles_.push_back(sample.tile);
    }
    activity::set_tiles(&source_, tiles_);
}

void Feeder::prepare(const InputSlots& slots) {
    TERRANE_ASSERT(order_.batches() < 0 || first_batch_ + taken_ < order_.batches(),
                   "the order ends after {} batches", order_.batches());
    const Slot& slot = ring_[static_cast<std::size_t>(taken_) % ring_.size()];
    {
        std::unique_lock lock(mutex_);
        if (read_ <= taken_ && !failure_) await_batch(lock);
        if (read_ <= taken_) std::rethrow_exception(failure_);
    }
    kernels_.begin(slots.labels.data);
    assemble(slot, slots);
    kernels_.end(slots.labels.data);
    current_ = slot.samples;  // equal sizes: copies values only
    tell_tiles();
    {
        const std::lock_guard lock(mutex_);
        ++taken_;
    }
    freed_.notify_one();
}

void Feeder::assemble(const Slot& slot, const InputSlots& slots) {
    const TileLayout& layout = source_.layout();
    presence_.resize(slot.samples.size() * layout.modalities.size());  // the same for every batch
    for (std::size_t i = 0; i < slot.samples.size(); ++i) {
        const SampleDraw& draw = slot.samples[i];
        const TileMemory& tile = slot.tiles[i];
        const auto place = static_cast<std::int64_t>(i);
        const bool empty = draw.tile < 0;
        for (std::size_t m = 0; m < layout.modalities.size(); ++m) {
            const ModalityDraw& change = draw.modalities[m];
            const TileMemory::Modality& stored = tile.modalities[m];
            const bool present = !empty && change.present && stored.present;
            device::ModalitySample sample;
            sample.tile = stored.values;
            sample.validity = stored.validity;
            if (!present) sample.validity.data = no_validity_[m].data();
            sample.scale = layout.modalities[m].scale;
            sample.bands = layout.modalities[m].normalisation;
            sample.base = stored.base;
            sample.gain = change.gain;
            sample.shift = change.shift;
            sample.noise = change.noise;
            sample.noise_key = change.noise_key;
            sample.output = sample_of(slots.modalities[m], place);
            kernels_.assemble(sample, draw.transform);
            const std::size_t flag = i * layout.modalities.size() + m;
            presence_[flag] = present ? 1.0f : 0.0f;
        }
        kernels_.assemble_labels(tile.labels, empty ? nowhere : draw.transform,
                                 sample_of(slots.labels, place));
        for (std::size_t m = 0; m < layout.maps.size(); ++m) {
            // Beyond the tile no class is known, and no distance gives confidence.
            const std::uint8_t outside = config::holds_classes(layout.maps[m]) ? 255 : 0;
            kernels_.assemble_labels(tile.maps[m], empty ? nowhere : draw.transform,
                                     sample_of(slots.maps[m], place), outside);
        }
    }
    kernels_.write(presence_, slots.presence);
}

}  // namespace terrane::data
