#pragma once

#include "tensor/float16.hpp"
#include "tensor/tensor_view.hpp"

namespace terrane::bench {

/// Writes an element of a tensor of activations.
inline void put_number(const TensorView& tensor, std::int64_t i, float value) {
    if (tensor.dtype() == DType::bf16) {
        tensor.as<bfloat16>()[i] = bfloat16(value);
    } else if (tensor.dtype() == DType::f16) {
        tensor.as<float16>()[i] = float16(value);
    } else {
        tensor.as<float>()[i] = value;
    }
}

/// The type of activations as train.precision names it.
inline const char* precision_of(DType compute) {
    if (compute == DType::bf16) return "bf16";
    return compute == DType::f16 ? "fp16" : "fp32";
}

}  // namespace terrane::bench
