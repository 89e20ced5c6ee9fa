#pragma once

#include "cuda/runtime.hpp"
#include "cuda/sample_kernels.hpp"
#include "cuda/slot_order.hpp"

namespace terrane::cuda {

/// Brings samples to the device in a stream of its own, through pinned memory of its own. Between begin() and
/// end() they go to a slot that the work reads from use() on; a call without begin() is a slot of its own,
/// and the work waits for it.
class Feed final : public device::SampleKernels, private device::Memory, private FeedStreams {
  public:
    explicit Feed(Queue work) : work_(work) {}

    void begin(const std::byte* slot) override;
    void end(const std::byte* slot) override;
    void use(const std::byte* slot) override;
    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override;
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output, std::uint8_t outside) override;
    void write(std::span<const float> values, const TensorView& output) override;

  private:
    static constexpr std::size_t upload_half = std::size_t{32} << 20;
    static constexpr std::size_t most_slots = 32;

    struct Marks {
        Event work, feed;
    };

    template <typename Call>
    void alone(const TensorView& output, Call call);

    // device::Memory, in the feed's stream.
    device::Buffer allocate(std::size_t bytes) override { return allocate_device(bytes, feed_.queue()); }
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        uploads_.copy(device, host, bytes, feed_.queue());
    }

    // FeedStreams.
    Marks& marks(int place);
    void mark_work(int place) override { marks(place).work.record(work_); }
    void mark_feed(int place) override { marks(place).feed.record(feed_.queue()); }
    void feed_waits_for_work(int place) override { marks(place).work.hold_up(feed_.queue()); }
    void work_waits_for_feed(int place) override { marks(place).feed.hold_up(work_); }

    Queue work_;
    Stream feed_;
    UploadRing uploads_{upload_half};
    cuda::SampleKernels kernels_{feed_.queue(), *this};
    SlotOrder order_{*this};
    std::vector<std::unique_ptr<Marks>> marks_;
    bool begun_ = false;
};

}  // namespace terrane::cuda
