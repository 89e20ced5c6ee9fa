#include "synth/object_index.hpp"

#include <algorithm>
#include <cmath>

namespace terrane::synth {

namespace {
constexpr double cell_edge = 6.0;
}

ObjectIndex::ObjectIndex(const Rectangle& outline)
    : outline_(outline),
      columns_(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(outline.width() / cell_edge)))),
      rows_(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(outline.height() / cell_edge)))) {}

std::int64_t ObjectIndex::column(double u) const {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>((u - outline_.x0) / cell_edge), 0,
                                    columns_ - 1);
}

std::int64_t ObjectIndex::row(double v) const {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>((v - outline_.y0) / cell_edge), 0, rows_ - 1);
}

void ObjectIndex::add(ObjectReference object, Point center, double radius) {
    for (std::int64_t r = row(center.y - radius); r <= row(center.y + radius); ++r)
        for (std::int64_t c = column(center.x - radius); c <= column(center.x + radius); ++c)
            entries_.push_back({static_cast<std::uint32_t>(r * columns_ + c), object});
}

void ObjectIndex::build() {
    first_.assign(static_cast<std::size_t>(columns_ * rows_) + 1, 0);
    for (const Entry& entry : entries_) ++first_[entry.cell + 1];
    for (std::size_t cell = 1; cell < first_.size(); ++cell) first_[cell] += first_[cell - 1];
    objects_.resize(entries_.size());
    std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
    for (const Entry& entry : entries_) objects_[next[entry.cell]++] = entry.object;
    entries_.clear();
    entries_.shrink_to_fit();
}

std::span<const ObjectReference> ObjectIndex::at(Point frame) const {
    const auto cell = static_cast<std::size_t>(row(frame.y) * columns_ + column(frame.x));
    return std::span(objects_).subspan(first_[cell], first_[cell + 1] - first_[cell]);
}

}  // namespace terrane::synth
