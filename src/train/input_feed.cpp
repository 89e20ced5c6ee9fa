#include "train/input_feed.hpp"

#include "train/network_setup.hpp"

namespace terrane::train {

namespace {

/// One slot under the interface that input_slots() reads.
class SlotPorts final : public recipe::InputPorts {
  public:
    SlotPorts(const recipe::Training& training, int slot) : training_(training), slot_(slot) {}
    TensorView input(const std::string& name) const override { return training_.input_of_slot(name, slot_); }

  private:
    const recipe::Training& training_;
    int slot_;
};

}  // namespace

InputFeed::InputFeed(const recipe::Training& training, const data::TileLayout& layout) {
    for (int slot = 0; slot < training.input_slots(); ++slot)
        slots_.push_back(input_slots(SlotPorts(training, slot), layout));
    draws_.resize(slots_.size());
}

void InputFeed::start(std::unique_ptr<data::Feeder> feeder) {
    feeder_ = std::move(feeder);
    is_ahead_ = false;
}

void InputFeed::prepare(std::size_t slot) {
    feeder_->prepare(slots_[slot]);
    const auto current = feeder_->current();
    draws_[slot].assign(current.begin(), current.end());  // equal sizes: copies values only
}

int InputFeed::take() {
    const std::size_t next = (taken_ + 1) % slots_.size();
    if (!is_ahead_) prepare(next);
    is_ahead_ = false;
    taken_ = next;
    feeder_->hand_over(slots_[next]);
    return static_cast<int>(next);
}

void InputFeed::look_ahead() {
    if (slots_.size() == 1 || is_ahead_) return;
    prepare((taken_ + 1) % slots_.size());
    is_ahead_ = true;
}

}  // namespace terrane::train
