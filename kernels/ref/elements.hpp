#pragma once

#include <cstdint>

#include "device/op_plan.hpp"
#include "tensor/float16.hpp"
#include "tensor/tensor_view.hpp"

/// Element access for loops that compute in double whatever the tensors store.
namespace terrane::ref {

inline double to_double(float value) {
    return value;
}
inline double to_double(double value) {
    return value;
}
inline double to_double(bfloat16 value) {
    return static_cast<float>(value);
}
inline double to_double(float16 value) {
    return static_cast<float>(value);
}

template <typename T>
inline T from_double(double value) {
    return static_cast<T>(value);
}
template <>
inline bfloat16 from_double<bfloat16>(double value) {
    return bfloat16(static_cast<float>(value));
}
template <>
inline float16 from_double<float16>(double value) {
    return float16(static_cast<float>(value));
}

/// Reads activations of the plan's element type.
template <typename T>
class Reader {
  public:
    explicit Reader(const TensorView& view) : data_(view.as<T>()) {}
    double operator[](std::int64_t i) const { return to_double(data_[i]); }

  private:
    const T* data_;
};

/// Writes activations.
template <typename T>
class Writer {
  public:
    explicit Writer(const TensorView& view) : data_(view.as<T>()) {}
    void store(std::int64_t i, double value) const { data_[i] = from_double<T>(value); }

  private:
    T* data_;
};

/// Reads parameters, states and gates of any floating-point type, decided per element, since their number is
/// small.
class AnyReader {
  public:
    explicit AnyReader(const TensorView& view);
    double operator[](std::int64_t i) const {
        if (dtype_ == DType::f32) return reinterpret_cast<const float*>(data_)[i];
        if (dtype_ == DType::f64) return reinterpret_cast<const double*>(data_)[i];
        if (dtype_ == DType::f16) return to_double(reinterpret_cast<const float16*>(data_)[i]);
        return to_double(reinterpret_cast<const bfloat16*>(data_)[i]);
    }

  private:
    const std::byte* data_;
    DType dtype_;
};

/// Writes any floating-point tensor.
class AnyWriter {
  public:
    explicit AnyWriter(const TensorView& view);
    void store(std::int64_t i, double value) const;

  private:
    std::byte* data_;
    DType dtype_;
};

/// The gradient of an output: the sum of its one or two terms.
template <typename T>
class GradientReader {
  public:
    explicit GradientReader(const device::GradientTerms& terms)
        : first_(terms[0].as<T>()), second_(terms[1] ? terms[1].as<T>() : nullptr) {}
    double operator[](std::int64_t i) const {
        return second_ == nullptr ? to_double(first_[i]) : to_double(first_[i]) + to_double(second_[i]);
    }

  private:
    const T* first_;
    const T* second_;
};

/// Writes the gradient of an input, or adds to it; false if it is not wanted.
class GradientWriter {
  public:
    explicit GradientWriter(const device::GradientTarget& target);
    explicit operator bool() const { return view_.data != nullptr; }
    void store(std::int64_t i, double value) const;

  private:
    TensorView view_;
    device::GradientWrite write_;
};

}  // namespace terrane::ref
