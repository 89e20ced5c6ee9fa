#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "synth/geometry.hpp"
#include "synth/objects.hpp"

namespace terrane::synth {

/// Which objects may lie at a point: a uniform grid of cells over a rectangle of the road frame.
class ObjectIndex {
  public:
    explicit ObjectIndex(const Rectangle& outline);

    /// Enters an object whose distance from `center` (in the frame) is nowhere above `radius`.
    void add(ObjectReference object, Point center, double radius);
    /// Ends adding; the objects of a cell keep the order in which they were added.
    void build();
    std::span<const ObjectReference> at(Point frame) const;

  private:
    struct Entry {
        std::uint32_t cell;
        ObjectReference object;
    };
    std::int64_t column(double u) const;
    std::int64_t row(double v) const;

    Rectangle outline_;
    std::int64_t columns_ = 1;
    std::int64_t rows_ = 1;
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> first_;
    std::vector<ObjectReference> objects_;
};

}  // namespace terrane::synth
