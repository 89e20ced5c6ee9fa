#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

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

#ifdef __CUDA_ARCH__
// Copying a pack is not enough: nvcc may take the copy apart into its elements, and a warp's store then takes
// several times as long. Words of a built-in type that are stored by one instruction stay whole.
template <int bytes>
struct Words {
    using Word = uint4;
};
template <>
struct Words<8> {
    using Word = uint2;
};
template <>
struct Words<4> {
    using Word = unsigned int;
};
template <>
struct Words<2> {
    using Word = unsigned short;
};
template <>
struct Words<1> {
    using Word = unsigned char;
};
__device__ inline void store_word(uint4* to, const uint4& word) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "r"(word.x),
                 "r"(word.y), "r"(word.z), "r"(word.w)
                 : "memory");
}
__device__ inline void store_word(uint2* to, const uint2& word) {
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(word.x),
                 "r"(word.y)
                 : "memory");
}
template <typename Word>
__device__ inline void store_word(Word* to, const Word& word) {
    *to = word;
}
#endif

/// Reads the pack at `from`, which is aligned to its size, or to 16 bytes if that is less.
template <int width, typename T>
TERRANE_HOST_DEVICE inline Pack<T, width> read_pack(const T* from) {
#ifdef __CUDA_ARCH__
    constexpr int bytes = sizeof(T) * width;
    using Word = typename Words<bytes>::Word;
    constexpr int count = bytes / static_cast<int>(sizeof(Word));
    static_assert(count * sizeof(Word) == bytes);
    Word words[count];
    for (int i = 0; i < count; ++i) words[i] = reinterpret_cast<const Word*>(from)[i];
    Pack<T, width> pack;
    memcpy(&pack, words, bytes);
    return pack;
#else
    return *reinterpret_cast<const Pack<T, width>*>(from);
#endif
}

/// Writes a pack to device memory (not to memory that threads share); aligned likewise.
template <int width, typename T>
TERRANE_HOST_DEVICE inline void write_pack(T* to, const Pack<T, width>& pack) {
#ifdef __CUDA_ARCH__
    constexpr int bytes = sizeof(T) * width;
    using Word = typename Words<bytes>::Word;
    constexpr int count = bytes / static_cast<int>(sizeof(Word));
    Word words[count];
    memcpy(words, &pack, bytes);
    for (int i = 0; i < count; ++i) store_word(reinterpret_cast<Word*>(to) + i, words[i]);
#else
    *reinterpret_cast<Pack<T, width>*>(to) = pack;
#endif
}

template <int width, typename T>
TERRANE_HOST_DEVICE inline void widen_pack(const Pack<T, width>& pack, float (&values)[width]) {
    for (int i = 0; i < width; ++i) values[i] = static_cast<float>(pack.values[i]);
}

/// Reads `width` elements from `first` on, which is a multiple of width.
template <int width, typename T>
TERRANE_HOST_DEVICE inline void load(const T* from, std::int64_t first, float (&values)[width]) {
    widen_pack<width>(read_pack<width>(from + first), values);
}

template <int width, typename T>
TERRANE_HOST_DEVICE inline void store(T* to, std::int64_t first, const float (&values)[width]) {
    Pack<T, width> pack;
    for (int i = 0; i < width; ++i) pack.values[i] = T(values[i]);
    write_pack<width>(to + first, pack);
}

/// Something of each of a pack of neighbouring channels, such as coefficients. `all` is aligned to 16 bytes,
/// `first` is a multiple of width. Neighbouring threads read structs that lie apart: 16 bytes at a time that
/// takes an eighth of the requests that single numbers would.
template <int width, typename Value>
struct OfChannels {
    Value values[width];

    TERRANE_HOST_DEVICE OfChannels(const Value* all, std::int64_t first) {
        if constexpr (sizeof(values) % 16 == 0) {
            const auto* from = reinterpret_cast<const Sixteen*>(all + first);
            Sixteen words[sizeof(values) / 16];
            for (std::size_t i = 0; i < sizeof(values) / 16; ++i) words[i] = from[i];
            std::memcpy(values, words, sizeof(values));
        } else {
            for (int i = 0; i < width; ++i) values[i] = all[first + i];
        }
    }

  private:
#ifdef __CUDA_ARCH__
    using Sixteen = uint4;
#else
    struct alignas(16) Sixteen {
        std::byte bytes[16];
    };
#endif
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
        sum_of<width>(packs<width>(i), values);
    }

    /// Both terms as they lie in memory, for passes that read several rows before they look at one.
    template <int width>
    struct Packs {
        Pack<T, width> first, second;
    };
    template <int width>
    TERRANE_HOST_DEVICE Packs<width> packs(std::int64_t i) const {
        Packs<width> both{read_pack<width>(first + i), {}};
        if (second != nullptr) both.second = read_pack<width>(second + i);
        return both;
    }
    template <int width>
    TERRANE_HOST_DEVICE void sum_of(const Packs<width>& both, float (&values)[width]) const {
        widen_pack<width>(both.first, values);
        if (second == nullptr) return;
        float more[width];
        widen_pack<width>(both.second, more);
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
