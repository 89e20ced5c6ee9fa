#pragma once

#include <cstdint>
#include <type_traits>

#include "base/error.hpp"
#include "tensor/dtype.hpp"

namespace terrane {

/// Calls `function` with the std::type_identity of the C++ type that an element type stands for. Serves every
/// type with C++ arithmetic; the 16-bit floating-point types are an internal error.
template <typename Function>
decltype(auto) visit_dtype(DType dtype, Function&& function) {
    switch (dtype) {
        case DType::u8:
            return function(std::type_identity<std::uint8_t>{});
        case DType::i8:
            return function(std::type_identity<std::int8_t>{});
        case DType::u16:
            return function(std::type_identity<std::uint16_t>{});
        case DType::i16:
            return function(std::type_identity<std::int16_t>{});
        case DType::u32:
            return function(std::type_identity<std::uint32_t>{});
        case DType::i32:
            return function(std::type_identity<std::int32_t>{});
        case DType::i64:
            return function(std::type_identity<std::int64_t>{});
        case DType::f32:
            return function(std::type_identity<float>{});
        case DType::f64:
            return function(std::type_identity<double>{});
        case DType::f16:
        case DType::bf16:
            break;
    }
    throw InternalError(fmt::format("no arithmetic is done with stored {}", name_of(dtype)));
}

}  // namespace terrane
