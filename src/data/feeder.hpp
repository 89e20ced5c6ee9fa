#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "data/sample_order.hpp"
#include "data/tile_source.hpp"
#include "device/sample_kernels.hpp"

namespace terrane::data {

/// A program's input slots, in the order of the tile layout's modalities.
struct InputSlots {
    std::vector<TensorView> modalities;  ///< [batch, crop / scale, crop / scale, bands]
    TensorView presence;                 ///< f32 [batch, modalities]
    TensorView labels;                   ///< u8 [batch, crop, crop]
    std::vector<TensorView> maps{};      ///< per map of the tile layout u8 [batch, crop, crop]
};

/// Brings batches into a program's input slots. A thread reads tiles ahead into a ring of slots that is
/// allocated once; next() cuts, turns and normalises them where the program reads. After the first batches
/// neither side allocates memory. The ring is sized in batches.
///
/// A modality that a sample lacks, or that its draw withholds, arrives as zeros with presence 0.
class Feeder {
  public:
    /// Reading starts at once, with batch number `first_batch` of `order`. Source, order and kernels must
    /// outlive the feeder.
    Feeder(TileSource& source, const SampleOrder& order, std::int64_t batch, std::int64_t first_batch,
           std::int64_t batches_ahead, device::SampleKernels& kernels);
    /// Stops reading; batches read ahead are dropped.
    ~Feeder();
    Feeder(const Feeder&) = delete;
    Feeder& operator=(const Feeder&) = delete;

    /// Assembles the next batch. Rethrows what stopped the reading thread: an Error names tile and file.
    void next(const InputSlots& slots) {
        prepare(slots);
        hand_over(slots);
    }
    /// The same in two parts. prepare() may be called while work still reads other slots; work queued after
    /// hand_over() reads these.
    void prepare(const InputSlots& slots);
    void hand_over(const InputSlots& slots) { kernels_.use(slots.labels.data); }

    /// The samples of the last batch prepared, for messages; valid until the next one.
    std::span<const SampleDraw> current() const { return current_; }
    /// Total time that next() has waited for the reading thread.
    double wait_seconds() const { return wait_seconds_; }
    /// Bytes of the ring.
    std::size_t bytes() const { return bytes_; }

  private:
    struct Slot {
        std::vector<SampleDraw> samples;
        std::vector<TileMemory> tiles;
    };

    void read_ahead();
    void await_batch(std::unique_lock<std::mutex>& lock);
    void tell_tiles();
    void read_slot(std::int64_t batch, Slot& slot);
    void assemble(const Slot& slot, const InputSlots& slots);

    TileSource& source_;
    const SampleOrder& order_;
    device::SampleKernels& kernels_;
    std::vector<Slot> ring_;
    std::vector<SampleDraw> current_;
    std::vector<device::Buffer> no_validity_;  ///< per modality: a mask of zeros
    std::vector<float> presence_;              ///< of the batch in work
    std::vector<std::int64_t> tiles_;          ///< of the batch in work, for messages
    std::size_t bytes_ = 0;
    double wait_seconds_ = 0;

    std::mutex mutex_;
    std::condition_variable filled_, freed_;
    std::int64_t first_batch_;
    std::int64_t read_ = 0;   ///< batches read so far
    std::int64_t taken_ = 0;  ///< batches handed out so far
    bool stop_ = false;
    std::exception_ptr failure_;
    std::thread thread_;
};

}  // namespace terrane::data
