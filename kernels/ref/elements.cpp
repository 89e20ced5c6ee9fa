#include "ref/elements.hpp"

namespace terrane::ref {

namespace {

bool is_floating(DType dtype) {
    return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::f16;
}

}  // namespace

AnyReader::AnyReader(const TensorView& view) : data_(view.data), dtype_(view.dtype()) {
    TERRANE_ASSERT(data_ != nullptr && is_floating(dtype_), "a {} tensor is read as numbers",
                   name_of(dtype_));
}

AnyWriter::AnyWriter(const TensorView& view) : data_(view.data), dtype_(view.dtype()) {
    TERRANE_ASSERT(data_ != nullptr && is_floating(dtype_), "numbers are written to a {} tensor",
                   name_of(dtype_));
}

void AnyWriter::store(std::int64_t i, double value) const {
    if (dtype_ == DType::f32) {
        reinterpret_cast<float*>(data_)[i] = static_cast<float>(value);
    } else if (dtype_ == DType::f64) {
        reinterpret_cast<double*>(data_)[i] = value;
    } else if (dtype_ == DType::f16) {
        reinterpret_cast<float16*>(data_)[i] = from_double<float16>(value);
    } else {
        reinterpret_cast<bfloat16*>(data_)[i] = from_double<bfloat16>(value);
    }
}

GradientWriter::GradientWriter(const device::GradientTarget& target)
    : view_(target.view), write_(target.write) {}

void GradientWriter::store(std::int64_t i, double value) const {
    if (write_ == device::GradientWrite::accumulate) value += AnyReader(view_)[i];
    AnyWriter(view_).store(i, value);
}

}  // namespace terrane::ref
