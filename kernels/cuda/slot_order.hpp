#pragma once

#include <cstddef>
#include <vector>

namespace terrane::cuda {

/// Two streams that wait for places in each other: the one that the network's work is in, and the one in
/// which samples are brought to the device. A place is a number from 0 on; marking it again moves it.
class FeedStreams {
  public:
    virtual ~FeedStreams() = default;
    virtual void mark_work(int place) = 0;
    virtual void mark_feed(int place) = 0;
    virtual void feed_waits_for_work(int place) = 0;
    virtual void work_waits_for_feed(int place) = 0;
};

/// Keeps samples from being overwritten while they are read, and from being read before they are whole, with
/// as little waiting as that takes: a slot is filled while the work reads another.
class SlotOrder {
  public:
    /// `streams` must outlive this.
    explicit SlotOrder(FeedStreams& streams) : streams_(streams) {}

    /// What is fed from now on goes to the slot: it waits for the work that still reads it.
    void begin(const std::byte* slot);
    /// The slot is full when what has been fed so far is done.
    void end(const std::byte* slot);
    /// Work that is queued from now on reads this slot, and no other any more.
    void use(const std::byte* slot);

  private:
    int place_of(const std::byte* slot);

    FeedStreams& streams_;
    std::vector<const std::byte*> slots_;  ///< by place
    int used_ = -1;                        ///< place of the slot that the work reads
};

}  // namespace terrane::cuda
