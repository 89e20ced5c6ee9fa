#pragma once

#include <cstddef>
#include <span>

#include "base/error.hpp"
#include "tensor/dtype.hpp"
#include "tensor/shape.hpp"

namespace terrane {

/// Element type and sizes of a tensor, without memory.
struct TensorSpec {
    DType dtype = DType::f32;
    Shape shape;

    std::size_t bytes() const { return static_cast<std::size_t>(shape.elements()) * size_of(dtype); }
    bool operator==(const TensorSpec&) const = default;
};

/// A dense row-major tensor in memory it does not own (host or device). `data` may be null for "not given".
struct TensorView {
    std::byte* data = nullptr;
    TensorSpec spec;

    explicit operator bool() const { return data != nullptr; }
    const Shape& shape() const { return spec.shape; }
    DType dtype() const { return spec.dtype; }
    std::int64_t elements() const { return spec.shape.elements(); }
    std::size_t bytes() const { return spec.bytes(); }

    /// The elements as T; the type must be the tensor's own.
    template <typename T>
    T* as() const {
        TERRANE_ASSERT(spec.dtype == dtype_of<T>, "the tensor holds {}", name_of(spec.dtype));
        return reinterpret_cast<T*>(data);
    }
    template <typename T>
    std::span<T> span() const {
        return {as<T>(), static_cast<std::size_t>(elements())};
    }
};

}  // namespace terrane
