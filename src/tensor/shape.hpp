#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace terrane {

/// Sizes of a dense row-major tensor of up to six dimensions. Activations are [batch, height, width, channels]
/// (NHWC), convolution weights [output channels, kernel height, kernel width, input channels / groups] (KRSC).
class Shape {
  public:
    static constexpr int max_rank = 6;

    Shape() = default;
    Shape(std::initializer_list<std::int64_t> sizes);

    int rank() const { return rank_; }
    std::int64_t operator[](int dimension) const { return sizes_[static_cast<std::size_t>(dimension)]; }
    /// Product of all sizes; 1 for rank 0.
    std::int64_t elements() const;
    /// Same shape with one size replaced.
    Shape with(int dimension, std::int64_t size) const;
    bool operator==(const Shape&) const = default;
    /// "[8, 128, 128, 64]"
    std::string text() const;

    // The four sizes of an NHWC activation; only for rank 4.
    std::int64_t batch() const { return sizes_[0]; }
    std::int64_t height() const { return sizes_[1]; }
    std::int64_t width() const { return sizes_[2]; }
    std::int64_t channels() const { return sizes_[static_cast<std::size_t>(rank_ - 1)]; }
    /// batch * height * width: everything but the last dimension.
    std::int64_t pixels() const;

  private:
    std::array<std::int64_t, max_rank> sizes_{};
    int rank_ = 0;
};

}  // namespace terrane
