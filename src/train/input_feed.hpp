#pragma once

#include <memory>
#include <span>
#include <vector>

#include "data/feeder.hpp"
#include "recipe/recipe.hpp"

namespace terrane::train {

/// Batches on their way into the input slots of a training. With two slots the next batch goes to the device
/// while the one before is still computed on.
class InputFeed {
  public:
    InputFeed(const recipe::Training& training, const data::TileLayout& layout);

    /// From now on batches come from this feeder; what was prepared is dropped.
    void start(std::unique_ptr<data::Feeder> feeder);

    /// The slot that holds the next batch; work queued from now on may read it. Throws what Feeder::next
    /// throws.
    int take();
    /// Prepares the batch that take() will give next, if another slot is free for it. Throws likewise.
    void look_ahead();

    /// The samples of the batch taken last.
    std::span<const data::SampleDraw> current() const { return draws_[taken_]; }
    /// Seconds that were spent waiting for tiles so far.
    double wait_seconds() const { return feeder_->wait_seconds(); }

  private:
    void prepare(std::size_t slot);

    std::vector<data::InputSlots> slots_;
    std::unique_ptr<data::Feeder> feeder_;
    std::vector<std::vector<data::SampleDraw>> draws_;  ///< per slot
    std::size_t taken_ = 0;
    bool is_ahead_ = false;  ///< the slot behind the taken one is prepared
};

}  // namespace terrane::train
