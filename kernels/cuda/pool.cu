// Windows and bins: pooling, adaptive pooling; backward in gather form.
#include "cuda/map_pass.hpp"
#include "cuda/plans.hpp"
#include "formulas/adaptive_pool.hpp"

namespace terrane::cuda {

namespace {

/// Positions in 32 bits.
struct Span {
    int begin, end;

    Span() = default;
    TERRANE_HOST_DEVICE Span(const formulas::Range& range)
        : begin(static_cast<int>(range.begin)), end(static_cast<int>(range.end)) {}
    TERRANE_HOST_DEVICE int length() const { return end - begin; }
};

/// Sizes of a map and of the map of windows (or bins) over it.
struct Maps {
    int batch, channels;
    Divisor height, width;  ///< of x
    Divisor rows, columns;  ///< of y

    Maps(const Shape& x, const Shape& y)
        : batch(static_cast<int>(x.batch())),
          channels(static_cast<int>(x.channels())),
          height(x.height()),
          width(x.width()),
          rows(y.height()),
          columns(y.width()) {}
    TERRANE_HOST_DEVICE std::int64_t in(int n, int row, int column) const {
        return (static_cast<std::int64_t>(n * height + row) * width + column) * channels;
    }
    TERRANE_HOST_DEVICE std::int64_t out(int n, int p, int q) const {
        return (static_cast<std::int64_t>(n * rows + p) * columns + q) * channels;
    }
};

struct Window {
    int kernel;
    Divisor stride;
    int padding;
    bool maximum;

    /// Positions of window p inside a side of `size`.
    TERRANE_HOST_DEVICE Span inside(int p, int size) const {
        const int begin = p * stride - padding, end = begin + kernel;
        return formulas::Range{begin > 0 ? begin : 0, end < size ? end : size};
    }
    /// Windows of `count` that hold a position.
    TERRANE_HOST_DEVICE Span holding(int position, int count) const {
        const int shifted = position + padding;
        const int begin = shifted < kernel ? 0 : (shifted - kernel) / stride + 1, end = shifted / stride + 1;
        return formulas::Range{begin, end < count ? end : count};
    }
};

/// A pass over y's pixels.
template <typename T>
struct PoolForward {
    const T* x;
    T* y;
    std::uint8_t* places;  ///< null unless wanted
    Maps maps;
    Window window;

    struct Site {
        Span rows, columns;
        int first_tap;          ///< that of the first pixel inside
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int p, int q) const {
        Site site{window.inside(p, maps.height), window.inside(q, maps.width), 0, 0, maps.out(n, p, q)};
        const int above = p * window.stride - window.padding, left = q * window.stride - window.padding;
        site.first_tap = (site.rows.begin - above) * window.kernel + site.columns.begin - left;
        site.from = maps.in(n, site.rows.begin, site.columns.begin);
        return site;
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float results[width] = {}, values[width];
        Pack<std::uint8_t, width> found = {};
        bool first = true;
        for (int row = 0; row < site.rows.length(); ++row) {
            std::int64_t from = site.from + static_cast<std::int64_t>(row) * maps.width * maps.channels + c;
            const int tap = site.first_tap + row * window.kernel;
            for (int column = 0; column < site.columns.length(); ++column, from += maps.channels) {
                load<width>(x, from, values);
                for (int i = 0; i < width; ++i) {
                    if (!window.maximum) {
                        results[i] += values[i];
                    } else if (first || values[i] > results[i]) {
                        results[i] = values[i];
                        found.values[i] = static_cast<std::uint8_t>(tap + column);
                    }
                }
                first = false;
            }
        }
        if (!window.maximum) {
            const auto count = static_cast<float>(site.rows.length() * site.columns.length());
            for (float& result : results) result /= count;
        }
        store<width>(y, site.to + c, results);
        if (places != nullptr) write_pack<width>(places + site.to + c, found);
    }
};

/// A pass over x's pixels.
template <typename T>
struct PoolBackward {
    Terms<T> dy;
    const std::uint8_t* places;
    T* dx;
    Maps maps;
    Window window;

    struct Site {
        int n, row, column;
        Span rows, columns;
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int column) const {
        return {n, row, column, window.holding(row, maps.rows), window.holding(column, maps.columns)};
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float sums[width] = {}, gradients[width];
        for (int p = site.rows.begin; p < site.rows.end; ++p) {
            const int row_tap = (site.row + window.padding - p * window.stride) * window.kernel;
            std::int64_t at = maps.out(site.n, p, site.columns.begin) + c;
            for (int q = site.columns.begin; q < site.columns.end; ++q, at += maps.channels) {
                dy.template read<width>(at, gradients);
                if (window.maximum) {
                    const int tap = row_tap + site.column + window.padding - q * window.stride;
                    const auto found = read_pack<width>(places + at);
                    for (int i = 0; i < width; ++i) sums[i] += found.values[i] == tap ? gradients[i] : 0.0f;
                } else {
                    const int count =
                        window.inside(p, maps.height).length() * window.inside(q, maps.width).length();
                    const float share = 1.0f / static_cast<float>(count);
                    for (int i = 0; i < width; ++i) sums[i] += gradients[i] * share;
                }
            }
        }
        store<width>(dx, maps.in(site.n, site.row, site.column) + c, sums);
    }
};

template <typename T>
class PoolPlan final : public KernelPlan<ops::Pool> {
  public:
    PoolPlan(const ops::Pool& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          maps_(input_shape(0), output_shape()),
          window_{static_cast<int>(op.kernel), Divisor(op.stride), static_cast<int>(op.padding),
                  op.kind == ops::PoolKind::maximum} {
        if (window_.maximum && trains())
            requirements_.saved = static_cast<std::size_t>(output_shape().elements());
    }

    void forward(const device::ForwardArguments& arguments) override {
        auto* places = requirements_.saved > 0 ? reinterpret_cast<std::uint8_t*>(arguments.saved) : nullptr;
        launch_maps<T>(queue_, maps_.batch, maps_.rows, maps_.columns, maps_.channels,
                       PoolForward<T>{arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), places,
                                      maps_, window_});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch_maps<T>(queue_, maps_.batch, maps_.height, maps_.width, maps_.channels,
                       PoolBackward<T>{terms_of<T>(arguments.output_gradients[0]),
                                       reinterpret_cast<const std::uint8_t*>(arguments.saved),
                                       arguments.input_gradients[0].view.as<T>(), maps_, window_});
    }

  private:
    Maps maps_;
    Window window_;
};

/// The bins of an adaptive pool along one axis.
struct Bins {
    Divisor length, bins;

    TERRANE_HOST_DEVICE Span range(int bin) const {
        return formulas::bin_range(bin, static_cast<int>(length), bins);
    }
    TERRANE_HOST_DEVICE Span holding(int position) const {
        return formulas::bins_holding(position, length, static_cast<int>(bins));
    }
    /// Whether all products of positions stay below 2^31.
    static bool fits(std::int64_t length, std::int64_t bins) {
        return length + 1 < (INT64_C(1) << 31) / (bins + 2);
    }
};

/// The first of two passes: over [batch, x's rows, bins of columns].
template <typename T>
struct BinColumns {
    const T* x;
    float* partial;
    Bins columns;
    int height, channels;

    struct Site {
        int count;
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int q) const {
        const Span range = columns.range(q);
        const auto line = static_cast<std::int64_t>(n * height + row);
        return {range.length(), (line * columns.length + range.begin) * channels,
                (line * columns.bins + q) * channels};
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float sums[width] = {}, values[width];
        std::int64_t from = site.from + c;
        for (int i = 0; i < site.count; ++i, from += channels) {
            load<width>(x, from, values);
            for (int k = 0; k < width; ++k) sums[k] += values[k];
        }
        store<width>(partial, site.to + c, sums);
    }
};

/// The second: over y's pixels.
template <typename T>
struct BinRows {
    const float* partial;
    T* y;
    Bins rows, columns;
    int channels;

    struct Site {
        int count;
        float area;
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int p, int q) const {
        const Span range = rows.range(p);
        const auto first = static_cast<std::int64_t>(n * rows.length + range.begin);
        return {range.length(), static_cast<float>(range.length() * columns.range(q).length()),
                (first * columns.bins + q) * channels,
                (static_cast<std::int64_t>(n * rows.bins + p) * columns.bins + q) * channels};
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float sums[width] = {}, values[width];
        std::int64_t from = site.from + c;
        for (int i = 0; i < site.count; ++i, from += static_cast<std::int64_t>(columns.bins) * channels) {
            load<width>(partial, from, values);
            for (int k = 0; k < width; ++k) sums[k] += values[k];
        }
        for (float& sum : sums) sum /= site.area;
        store<width>(y, site.to + c, sums);
    }
};

/// A pass over x's pixels.
template <typename T>
struct BinBackward {
    Terms<T> dy;
    T* dx;
    Bins rows, columns;
    int channels;

    struct Site {
        Span rows, columns;
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int column) const {
        Site site{rows.holding(row), columns.holding(column), 0, 0};
        const auto first = static_cast<std::int64_t>(n * rows.bins + site.rows.begin);
        site.from = (first * columns.bins + site.columns.begin) * channels;
        site.to = (static_cast<std::int64_t>(n * rows.length + row) * columns.length + column) * channels;
        return site;
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float sums[width] = {}, gradients[width];
        std::int64_t line = site.from + c;
        for (int p = site.rows.begin; p < site.rows.end; ++p) {
            const int bin_height = rows.range(p).length();
            std::int64_t from = line;
            for (int q = site.columns.begin; q < site.columns.end; ++q, from += channels) {
                const float share = 1.0f / static_cast<float>(bin_height * columns.range(q).length());
                dy.template read<width>(from, gradients);
                for (int i = 0; i < width; ++i) sums[i] += gradients[i] * share;
            }
            line += static_cast<std::int64_t>(columns.bins) * channels;
        }
        store<width>(dx, site.to + c, sums);
    }
};

template <typename T>
class AdaptivePoolPlan final : public KernelPlan<ops::AdaptivePool> {
  public:
    AdaptivePoolPlan(const ops::AdaptivePool& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          batch_(input_shape(0).batch()),
          channels_(input_shape(0).channels()),
          rows_{Divisor(input_shape(0).height()), Divisor(op.height)},
          columns_{Divisor(input_shape(0).width()), Divisor(op.width)} {
        requirements_.forward_workspace = carved<float>(batch_ * rows_.length * columns_.bins * channels_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        auto* partial = reinterpret_cast<float*>(arguments.workspace);
        const auto channels = static_cast<int>(channels_);
        launch_maps<T>(queue_, batch_, rows_.length, columns_.bins, channels_,
                       BinColumns<T>{arguments.inputs[0].as<T>(), partial, columns_, rows_.length, channels});
        launch_maps<T>(queue_, batch_, rows_.bins, columns_.bins, channels_,
                       BinRows<T>{partial, arguments.outputs[0].as<T>(), rows_, columns_, channels});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch_maps<T>(queue_, batch_, rows_.length, columns_.length, channels_,
                       BinBackward<T>{terms_of<T>(arguments.output_gradients[0]),
                                      arguments.input_gradients[0].view.as<T>(), rows_, columns_,
                                      static_cast<int>(channels_)});
    }

  private:
    std::int64_t batch_, channels_;
    Bins rows_, columns_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Pool& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (op.kernel * op.kernel > 256) return nullptr;  // a maximum's place is kept in a byte
    return make_typed<PoolPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::AdaptivePool& op, const device::PlanRequest& request,
                                             Queue queue) {
    const Shape& x = request.descriptor.inputs[0].shape;
    if (!Bins::fits(x.height(), op.height) || !Bins::fits(x.width(), op.width)) return nullptr;
    return make_typed<AdaptivePoolPlan>(op, request, queue);
}

}  // namespace terrane::cuda
