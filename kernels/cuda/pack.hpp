#pragma once

#include <cstdint>

#include "formulas/host_device.hpp"
#include "tensor/float16.hpp"

/// Neighbouring elements that one thread moves by one instruction, and what else reads and writes device
/// memory.
namespace terrane::cuda {

/// Moved by one instruction when it fills 16 (or 8, or 4) bytes.
template <typename T, int width>
struct alignas(sizeof(T) * width) Pack {
    T values[width];
};

/// Elements per 16 bytes.
template <typename T>
inline constexpr int full_pack = 16 / static_cast<int>(sizeof(T));

/// Reads `width` elements from `first` on, which is a multiple of width.
template <int width, typename T>
TERRANE_HOST_DEVICE inline void load(const T* from, std::int64_t first, float (&values)[width]) {
    const Pack<T, width> pack = *reinterpret_cast<const Pack<T, width>*>(from + first);
    for (int i = 0; i < width; ++i) values[i] = static_cast<float>(pack.values[i]);
}

template <int width, typename T>
TERRANE_HOST_DEVICE inline void store(T* to, std::int64_t first, const float (&values)[width]) {
    Pack<T, width> pack;
    for (int i = 0; i < width; ++i) pack.values[i] = T(values[i]);
    *reinterpret_cast<Pack<T, width>*>(to + first) = pack;
}

/// Something of each of a pack of neighbouring channels, such as coefficients.
template <int width, typename Value>
struct OfChannels {
    Value values[width];

    TERRANE_HOST_DEVICE OfChannels(const Value* all, std::int64_t first) {
        for (int i = 0; i < width; ++i) values[i] = all[first + i];
    }
};

/// The gradient of an output: the sum of its one or two terms.
template <typename T>
struct Terms {
    const T* first = nullptr;
    const T* second = nullptr;

    TERRANE_HOST_DEVICE float operator[](std::int64_t i) const {
        const float value = static_cast<float>(first[i]);
        return second == nullptr ? value : value + static_cast<float>(second[i]);
    }
    template <int width>
    TERRANE_HOST_DEVICE void read(std::int64_t i, float (&values)[width]) const {
        load<width>(first, i, values);
        if (second == nullptr) return;
        float more[width];
        load<width>(second, i, more);
        for (int k = 0; k < width; ++k) values[k] += more[k];
    }
};

/// Numbers that are f32, bf16 or f16, decided per element: for what is small or rarely read.
struct Floats {
    const void* data = nullptr;
    DType dtype = DType::f32;

    TERRANE_HOST_DEVICE float operator[](std::int64_t i) const {
        if (dtype == DType::bf16) return static_cast<float>(static_cast<const bfloat16*>(data)[i]);
        if (dtype == DType::f16) return static_cast<float>(static_cast<const float16*>(data)[i]);
        return static_cast<const float*>(data)[i];
    }
};

/// Likewise, to be written.
struct FloatsOut {
    void* data = nullptr;
    DType dtype = DType::f32;

    TERRANE_HOST_DEVICE void store(std::int64_t i, float value) const {
        if (dtype == DType::bf16) {
            static_cast<bfloat16*>(data)[i] = bfloat16(value);
        } else if (dtype == DType::f16) {
            static_cast<float16*>(data)[i] = float16(value);
        } else {
            static_cast<float*>(data)[i] = value;
        }
    }
    TERRANE_HOST_DEVICE explicit operator bool() const { return data != nullptr; }
};

/// Where the gradient of a parameter goes, from sums in double; nowhere if `data` is null.
struct ParameterGradient {
    float* data = nullptr;
    bool accumulates = false;

    TERRANE_HOST_DEVICE void store(std::int64_t i, double value) const {
        if (data == nullptr) return;
        data[i] = static_cast<float>(accumulates ? value + static_cast<double>(data[i]) : value);
    }
    explicit operator bool() const { return data != nullptr; }
};

/// Adds to a count that several threads share; whole numbers, so the order does not matter.
TERRANE_HOST_DEVICE inline void count_up(std::int64_t* counter, std::int64_t by) {
#ifdef __CUDA_ARCH__
    atomicAdd(reinterpret_cast<unsigned long long*>(counter), static_cast<unsigned long long>(by));
#else
    *counter += by;
#endif
}
TERRANE_HOST_DEVICE inline void count_up(std::uint32_t* counter) {
#ifdef __CUDA_ARCH__
    atomicAdd(counter, 1u);
#else
    ++*counter;
#endif
}

}  // namespace terrane::cuda
