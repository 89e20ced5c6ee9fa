#include "cuda/channel_padding.hpp"

#include "cuda/launch.hpp"

namespace terrane::cuda {

namespace {

/// A thread writes a pack of a padded row.
template <typename T>
struct Pad {
    const T* from;
    T* to;
    std::int64_t channels, padded;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        Pack<T, width> pack;
        for (int i = 0; i < width; ++i) {
            pack.values[i] = column + i < channels ? from[row * channels + column + i] : T(0.0f);
        }
        write_pack<width>(to + row * padded + column, pack);
    }
};

template <typename T>
struct Strip {
    const T* from;
    T* to;
    std::int64_t channels, padded;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t row = item / channels;
        to[item] = from[row * padded + (item - row * channels)];
    }
};

template <typename T>
struct CastPadded {
    const float* from;
    T* to;
    WeightPadding sizes;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t inner = item % sizes.padded_inner, row = item / sizes.padded_inner;
        const bool inside = inner < sizes.inner && row < sizes.outer * sizes.taps;
        to[item] = T(inside ? from[row * sizes.inner + inner] : 0.0f);
    }
};

template <typename T>
struct TakePadded {
    const T* from;
    ParameterGradient to;
    WeightPadding sizes;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t row = item / sizes.inner;
        to.store(item, static_cast<double>(
                           static_cast<float>(from[row * sizes.padded_inner + (item - row * sizes.inner)])));
    }
};

}  // namespace

template <typename T>
void launch_pad(Queue queue, const T* from, T* to, std::int64_t rows, std::int64_t channels,
                std::int64_t padded) {
    launch_rows<T>(queue, rows, padded, Pad<T>{from, to, channels, padded});
}
template <typename T>
void launch_strip(Queue queue, const T* from, T* to, std::int64_t rows, std::int64_t channels,
                  std::int64_t padded) {
    launch(queue, rows * channels, Strip<T>{from, to, channels, padded});
}
template <typename T>
void launch_cast_padded(Queue queue, const float* from, T* to, const WeightPadding& sizes) {
    launch(queue, sizes.padded_elements(), CastPadded<T>{from, to, sizes});
}
template <typename T>
void launch_take_padded(Queue queue, const T* from, const ParameterGradient& to, const WeightPadding& sizes) {
    launch(queue, sizes.outer * sizes.taps * sizes.inner, TakePadded<T>{from, to, sizes});
}

#define TERRANE_PADDING_OF(T)                                                                  \
    template void launch_pad(Queue, const T*, T*, std::int64_t, std::int64_t, std::int64_t);   \
    template void launch_strip(Queue, const T*, T*, std::int64_t, std::int64_t, std::int64_t); \
    template void launch_cast_padded(Queue, const float*, T*, const WeightPadding&);           \
    template void launch_take_padded(Queue, const T*, const ParameterGradient&, const WeightPadding&)
TERRANE_PADDING_OF(float);
TERRANE_PADDING_OF(bfloat16);
TERRANE_PADDING_OF(float16);

}  // namespace terrane::cuda
