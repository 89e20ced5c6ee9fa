#include "tensor/shape.hpp"

#include "base/error.hpp"

namespace terrane {

Shape::Shape(std::initializer_list<std::int64_t> sizes) {
    TERRANE_ASSERT(sizes.size() <= static_cast<std::size_t>(max_rank), "a shape has at most {} sizes", max_rank);
    for (const std::int64_t size : sizes) {
        TERRANE_ASSERT(size >= 0, "a size of {} in a shape", size);
        sizes_[static_cast<std::size_t>(rank_++)] = size;
    }
}

std::int64_t Shape::elements() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= (*this)[i];
    return product;
}

Shape Shape::with(int dimension, std::int64_t size) const {
    TERRANE_ASSERT(dimension >= 0 && dimension < rank_, "no dimension {} in {}", dimension, text());
    Shape changed = *this;
    changed.sizes_[static_cast<std::size_t>(dimension)] = size;
    return changed;
}

std::string Shape::text() const {
    std::string result = "[";
    for (int i = 0; i < rank_; ++i) result += (i > 0 ? ", " : "") + std::to_string((*this)[i]);
    return result + "]";
}

std::int64_t Shape::pixels() const {
    std::int64_t product = 1;
    for (int i = 0; i + 1 < rank_; ++i) product *= (*this)[i];
    return product;
}

}  // namespace terrane
