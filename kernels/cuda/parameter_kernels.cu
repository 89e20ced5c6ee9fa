#include "cuda/parameter_kernels.hpp"

namespace terrane::cuda {

namespace {

template <typename T>
struct Cast {
    const float* from;
    T* to;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width];
        load<width>(from, first, values);
        store<width>(to, first, values);
    }
};

struct Take {
    const float* from;
    ParameterGradient to;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const { to.store(i, static_cast<double>(from[i])); }
};

template <typename T>
struct AddBias {
    T* y;
    const float* bias;
    std::int64_t channels;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        float values[width];
        load<width>(y, row * channels + column, values);
        for (int i = 0; i < width; ++i) values[i] += bias[column + i];
        store<width>(y, row * channels + column, values);
    }
};

template <typename T>
struct BiasSums {
    static constexpr int sums = 1;
    Terms<T> dy;
    std::int64_t channels;
    ParameterGradient target;

    template <int width>
    using Row = typename Terms<T>::template Packs<width>;
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        return dy.template packs<width>(row * channels + column);
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t, const Row<width>& packs, const NoColumns&,
                                 double (&own)[1][width]) const {
        float values[width];
        dy.template sum_of<width>(packs, values);
        for (int i = 0; i < width; ++i) own[0][i] += static_cast<double>(values[i]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t c, const double (&total)[1]) const {
        target.store(c, total[0]);
    }
};

}  // namespace

void launch_cast(Queue queue, const float* from, bfloat16* to, std::int64_t count) {
    launch_elements<float>(queue, count, Cast<bfloat16>{from, to});
}
void launch_cast(Queue queue, const float* from, float16* to, std::int64_t count) {
    launch_elements<float>(queue, count, Cast<float16>{from, to});
}

void launch_take(Queue queue, const float* from, const ParameterGradient& to, std::int64_t count) {
    launch(queue, count, Take{from, to});
}

void launch_add_bias(Queue queue, float* y, const float* bias, std::int64_t rows, std::int64_t channels) {
    launch_rows<float>(queue, rows, channels, AddBias<float>{y, bias, channels});
}
void launch_add_bias(Queue queue, bfloat16* y, const float* bias, std::int64_t rows, std::int64_t channels) {
    launch_rows<bfloat16>(queue, rows, channels, AddBias<bfloat16>{y, bias, channels});
}
void launch_add_bias(Queue queue, float16* y, const float* bias, std::int64_t rows, std::int64_t channels) {
    launch_rows<float16>(queue, rows, channels, AddBias<float16>{y, bias, channels});
}

void launch_bias_gradient(Queue queue, const ColumnGeometry& geometry, const Terms<float>& dy,
                          const ParameterGradient& target, double* partials) {
    launch_column_sums(queue, geometry, partials, BiasSums<float>{dy, geometry.columns, target});
}
void launch_bias_gradient(Queue queue, const ColumnGeometry& geometry, const Terms<bfloat16>& dy,
                          const ParameterGradient& target, double* partials) {
    launch_column_sums(queue, geometry, partials, BiasSums<bfloat16>{dy, geometry.columns, target});
}
void launch_bias_gradient(Queue queue, const ColumnGeometry& geometry, const Terms<float16>& dy,
                          const ParameterGradient& target, double* partials) {
    launch_column_sums(queue, geometry, partials, BiasSums<float16>{dy, geometry.columns, target});
}

}  // namespace terrane::cuda
