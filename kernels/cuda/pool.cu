// Windows and bins: pooling, adaptive pooling; backward in gather form.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/adaptive_pool.hpp"

namespace terrane::cuda {

namespace {

/// Sizes of a map and of the map of windows (or bins) over it.
struct Maps {
    std::int64_t batch, channels;
    std::int64_t height, width;  ///< of x
    std::int64_t rows, columns;  ///< of y

    Maps(const Shape& x, const Shape& y)
        : batch(x.batch()),
          channels(x.channels()),
          height(x.height()),
          width(x.width()),
          rows(y.height()),
          columns(y.width()) {}
    TERRANE_HOST_DEVICE std::int64_t in(std::int64_t n, std::int64_t row, std::int64_t column) const {
        return ((n * height + row) * width + column) * channels;
    }
    TERRANE_HOST_DEVICE std::int64_t out(std::int64_t n, std::int64_t p, std::int64_t q) const {
        return ((n * rows + p) * columns + q) * channels;
    }
};

struct Window {
    std::int64_t kernel, stride, padding;
    bool maximum;

    /// Positions of window p inside a side of `size`.
    TERRANE_HOST_DEVICE formulas::Range inside(std::int64_t p, std::int64_t size) const {
        const std::int64_t begin = p * stride - padding, end = begin + kernel;
        return {begin > 0 ? begin : 0, end < size ? end : size};
    }
    /// Windows of `count` that hold a position.
    TERRANE_HOST_DEVICE formulas::Range holding(std::int64_t position, std::int64_t count) const {
        const std::int64_t shifted = position + padding;
        const std::int64_t begin = shifted < kernel ? 0 : (shifted - kernel) / stride + 1,
                           end = shifted / stride + 1;
        return {begin, end < count ? end : count};
    }
};

template <typename T>
struct PoolForward {
    const T* x;
    T* y;
    std::uint8_t* places;  ///< null unless wanted
    Maps maps;
    Window window;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t q = pixel % maps.columns, p = pixel / maps.columns % maps.rows;
        const std::int64_t n = pixel / (maps.columns * maps.rows);
        const auto rows = window.inside(p, maps.height), columns = window.inside(q, maps.width);
        float results[width] = {}, values[width];
        std::uint8_t found[width] = {};
        bool first = true;
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            for (std::int64_t column = columns.begin; column < columns.end; ++column) {
                load<width>(x, maps.in(n, row, column) + c, values);
                const std::int64_t tap = (row - (p * window.stride - window.padding)) * window.kernel +
                                         column - (q * window.stride - window.padding);
                for (int i = 0; i < width; ++i) {
                    if (!window.maximum) {
                        results[i] += values[i];
                    } else if (first || values[i] > results[i]) {
                        results[i] = values[i];
                        found[i] = static_cast<std::uint8_t>(tap);
                    }
                }
                first = false;
            }
        }
        const std::int64_t at = maps.out(n, p, q) + c;
        if (!window.maximum) {
            const auto count = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
            for (float& result : results) result /= count;
        }
        store<width>(y, at, results);
        for (int i = 0; places != nullptr && i < width; ++i) places[at + i] = found[i];
    }
};

template <typename T>
struct PoolBackward {
    Terms<T> dy;
    const std::uint8_t* places;
    T* dx;
    Maps maps;
    Window window;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t column = pixel % maps.width, row = pixel / maps.width % maps.height;
        const std::int64_t n = pixel / (maps.width * maps.height);
        const auto rows = window.holding(row, maps.rows), columns = window.holding(column, maps.columns);
        float sums[width] = {}, gradients[width];
        for (std::int64_t p = rows.begin; p < rows.end; ++p) {
            for (std::int64_t q = columns.begin; q < columns.end; ++q) {
                const std::int64_t at = maps.out(n, p, q) + c;
                dy.template read<width>(at, gradients);
                if (window.maximum) {
                    const std::int64_t tap = (row + window.padding - p * window.stride) * window.kernel +
                                             column + window.padding - q * window.stride;
                    for (int i = 0; i < width; ++i) sums[i] += places[at + i] == tap ? gradients[i] : 0.0f;
                } else {
                    const auto high = window.inside(p, maps.height), wide = window.inside(q, maps.width);
                    const auto count = static_cast<float>((high.end - high.begin) * (wide.end - wide.begin));
                    for (int i = 0; i < width; ++i) sums[i] += gradients[i] / count;
                }
            }
        }
        store<width>(dx, pixel * maps.channels + c, sums);
    }
};

template <typename T>
class PoolPlan final : public KernelPlan<ops::Pool> {
  public:
    PoolPlan(const ops::Pool& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          maps_(input_shape(0), output_shape()),
          window_{op.kernel, op.stride, op.padding, op.kind == ops::PoolKind::maximum} {
        if (window_.maximum && trains())
            requirements_.saved = static_cast<std::size_t>(output_shape().elements());
    }

    void forward(const device::ForwardArguments& arguments) override {
        auto* places = requirements_.saved > 0 ? reinterpret_cast<std::uint8_t*>(arguments.saved) : nullptr;
        launch_rows<T>(queue_, output_shape().pixels(), maps_.channels,
                       PoolForward<T>{arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), places,
                                      maps_, window_});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch_rows<T>(queue_, input_shape(0).pixels(), maps_.channels,
                       PoolBackward<T>{terms_of<T>(arguments.output_gradients[0]),
                                       reinterpret_cast<const std::uint8_t*>(arguments.saved),
                                       arguments.input_gradients[0].view.as<T>(), maps_, window_});
    }

  private:
    Maps maps_;
    Window window_;
};

TERRANE_HOST_DEVICE inline float area_of(const formulas::Range& rows, const formulas::Range& columns) {
    return static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
}

/// One bin per thread, for bins of few pixels.
template <typename T>
struct BinForward {
    const T* x;
    T* y;
    Maps maps;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t n = pixel / (maps.rows * maps.columns);
        const auto rows = formulas::bin_range(pixel / maps.columns % maps.rows, maps.height, maps.rows);
        const auto columns = formulas::bin_range(pixel % maps.columns, maps.width, maps.columns);
        float sums[width] = {}, values[width];
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            for (std::int64_t column = columns.begin; column < columns.end; ++column) {
                load<width>(x, maps.in(n, row, column) + c, values);
                for (int i = 0; i < width; ++i) sums[i] += values[i];
            }
        }
        for (float& sum : sums) sum /= area_of(rows, columns);
        store<width>(y, pixel * maps.channels + c, sums);
    }
};

/// The global average of one sample: a column sum.
template <typename T>
struct GlobalSum {
    static constexpr int sums = 1;
    const T* x;
    T* y;
    std::int64_t rows, channels;

    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t row, std::int64_t column, double (&own)[1][width]) const {
        float values[width];
        load<width>(x, row * channels + column, values);
        for (int i = 0; i < width; ++i) own[0][i] += static_cast<double>(values[i]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t c, const double (&total)[1]) const {
        y[c] = T(static_cast<float>(total[0] / static_cast<double>(rows)));
    }
};

template <typename T>
struct BinBackward {
    Terms<T> dy;
    T* dx;
    Maps maps;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t n = pixel / (maps.height * maps.width);
        const auto rows = formulas::bins_holding(pixel / maps.width % maps.height, maps.height, maps.rows);
        const auto columns = formulas::bins_holding(pixel % maps.width, maps.width, maps.columns);
        float sums[width] = {}, gradients[width];
        for (std::int64_t p = rows.begin; p < rows.end; ++p) {
            for (std::int64_t q = columns.begin; q < columns.end; ++q) {
                const float area = area_of(formulas::bin_range(p, maps.height, maps.rows),
                                           formulas::bin_range(q, maps.width, maps.columns));
                dy.template read<width>(maps.out(n, p, q) + c, gradients);
                for (int i = 0; i < width; ++i) sums[i] += gradients[i] / area;
            }
        }
        store<width>(dx, pixel * maps.channels + c, sums);
    }
};

template <typename T>
class AdaptivePoolPlan final : public KernelPlan<ops::AdaptivePool> {
  public:
    AdaptivePoolPlan(const ops::AdaptivePool& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          maps_(input_shape(0), output_shape()),
          geometry_(maps_.height * maps_.width, maps_.channels),
          global_(op.height == 1 && op.width == 1) {
        if (global_) requirements_.forward_workspace = geometry_.bytes(1);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* x = arguments.inputs[0].as<T>();
        T* y = arguments.outputs[0].as<T>();
        if (!global_) {
            launch_rows<T>(queue_, output_shape().pixels(), maps_.channels, BinForward<T>{x, y, maps_});
            return;
        }
        for (std::int64_t n = 0; n < maps_.batch; ++n) {
            launch_column_sums(
                queue_, geometry_, reinterpret_cast<double*>(arguments.workspace),
                GlobalSum<T>{x + maps_.in(n, 0, 0), y + n * maps_.channels, geometry_.rows, maps_.channels});
        }
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch_rows<T>(queue_, input_shape(0).pixels(), maps_.channels,
                       BinBackward<T>{terms_of<T>(arguments.output_gradients[0]),
                                      arguments.input_gradients[0].view.as<T>(), maps_});
    }

  private:
    Maps maps_;
    ColumnGeometry geometry_;
    bool global_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Pool& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (op.kernel * op.kernel > 256) return nullptr;  // a maximum's place is kept in a byte
    return make_typed<PoolPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::AdaptivePool& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<AdaptivePoolPlan>(op, request, queue);
}

}  // namespace terrane::cuda
