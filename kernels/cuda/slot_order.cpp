#include "cuda/slot_order.hpp"

#include <algorithm>

namespace terrane::cuda {

int SlotOrder::place_of(const std::byte* slot) {
    const auto found = std::find(slots_.begin(), slots_.end(), slot);
    return static_cast<int>(found - slots_.begin());
}

void SlotOrder::begin(const std::byte* slot) {
    const int place = place_of(slot);
    const bool is_new = place == static_cast<int>(slots_.size());
    if (is_new) slots_.push_back(slot);
    // A new slot's memory may still be being cleared; one in use is read by all work so far. Of the others
    // the mark was set when the work left them.
    if (is_new || place == used_) streams_.mark_work(place);
    streams_.feed_waits_for_work(place);
}

void SlotOrder::end(const std::byte* slot) {
    streams_.mark_feed(place_of(slot));
}

void SlotOrder::use(const std::byte* slot) {
    const int place = place_of(slot);
    if (used_ >= 0 && used_ != place) streams_.mark_work(used_);
    streams_.work_waits_for_feed(place);
    used_ = place;
}

}  // namespace terrane::cuda
