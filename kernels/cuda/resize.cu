// Bilinear resize; backward in gather form.
#include "cuda/plans.hpp"
#include "cuda/resized_axis.hpp"

namespace terrane::cuda {

namespace {

/// Targets along an axis that may read a source where its gradient is gathered in one pass.
constexpr int few_readers = 4;

template <typename T>
struct ResizeForward {
    const T* x;
    T* y;
    ResizedAxis rows, columns;
    int channels;

    struct Site {
        formulas::Tap<float, int> row, column;
        std::int64_t at00, at01, at10, at11, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int column) const {
        Site site{rows.tap(row), columns.tap(column), 0, 0, 0, 0, 0};
        const std::int64_t upper = static_cast<std::int64_t>(n * rows.in + site.row.index0) * columns.in,
                           lower = static_cast<std::int64_t>(n * rows.in + site.row.index1) * columns.in;
        site.at00 = (upper + site.column.index0) * channels;
        site.at01 = (upper + site.column.index1) * channels;
        site.at10 = (lower + site.column.index0) * channels;
        site.at11 = (lower + site.column.index1) * channels;
        site.to = (static_cast<std::int64_t>(n * rows.out + row) * columns.out + column) * channels;
        return site;
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float v00[width], v01[width], v10[width], v11[width];
        load<width>(x, site.at00 + c, v00);
        load<width>(x, site.at01 + c, v01);
        load<width>(x, site.at10 + c, v10);
        load<width>(x, site.at11 + c, v11);
        for (int i = 0; i < width; ++i)
            v00[i] = formulas::bilinear(site.row, site.column, v00[i], v01[i], v10[i], v11[i]);
        store<width>(y, site.to + c, v00);
    }
};

/// The whole gradient of a source pixel that few targets read: a pass over x's pixels.
template <typename T>
struct ResizeBackward {
    Terms<T> dy;
    T* dx;
    ResizedAxis rows, columns;
    int channels;

    struct Site {
        int source_row, begin, end;
        int readers;  ///< columns
        float weights[few_readers];
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int column) const {
        const formulas::Range high = rows.readers(row), wide = columns.readers(column);
        const int begin = static_cast<int>(high.begin), first = static_cast<int>(wide.begin);
        Site site{row, begin, static_cast<int>(high.end), static_cast<int>(wide.end) - first, {}, 0, 0};
        TERRANE_UNROLL
        for (int k = 0; k < few_readers; ++k) {
            site.weights[k] = k < site.readers ? columns.weight(first + k, column) : 0.0f;
        }
        site.from = (static_cast<std::int64_t>(n * rows.out + begin) * columns.out + first) * channels;
        site.to = (static_cast<std::int64_t>(n * rows.in + row) * columns.in + column) * channels;
        return site;
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float sums[width] = {}, gradients[width];
        std::int64_t from = site.from + c;
        for (int row = site.begin; row < site.end; ++row) {
            const float row_weight = rows.weight(row, site.source_row);
            TERRANE_UNROLL
            for (int k = 0; k < few_readers; ++k) {
                if (k >= site.readers) continue;
                const float weight = row_weight * site.weights[k];
                dy.template read<width>(from + k * channels, gradients);
                for (int i = 0; i < width; ++i) sums[i] += weight * gradients[i];
            }
            from += static_cast<std::int64_t>(columns.out) * channels;
        }
        store<width>(dx, site.to + c, sums);
    }
};

/// The first of two passes where many targets read a source: over [batch, target rows, source columns].
template <typename T>
struct CollapseColumns {
    Terms<T> dy;
    float* partial;
    ResizedAxis columns;
    int rows, channels;  ///< target rows

    struct Site {
        int source, begin, end;
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int column) const {
        const formulas::Range range = columns.readers(column);
        const int begin = static_cast<int>(range.begin);
        const auto line = static_cast<std::int64_t>(n * rows + row);
        return {column, begin, static_cast<int>(range.end), (line * columns.out + begin) * channels,
                (line * columns.in + column) * channels};
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int c) const {
        float sums[width] = {}, gradients[width];
        std::int64_t from = site.from + c;
        for (int column = site.begin; column < site.end; ++column, from += channels) {
            const float weight = columns.weight(column, site.source);
            dy.template read<width>(from, gradients);
            for (int i = 0; i < width; ++i) sums[i] += weight * gradients[i];
        }
        store<width>(partial, site.to + c, sums);
    }
};

template <typename T>
class ResizePlan final : public KernelPlan<ops::Resize> {
  public:
    ResizePlan(const ops::Resize& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          batch_(input_shape(0).batch()),
          channels_(input_shape(0).channels()),
          rows_(input_shape(0).height(), op.height, op.corners),
          columns_(input_shape(0).width(), op.width, op.corners) {
        if (!trains()) return;
        one_pass_ = rows_.most_readers() <= few_readers && columns_.most_readers() <= few_readers;
        if (!one_pass_)
            requirements_.backward_workspace = carved<float>(batch_ * rows_.out * columns_.in * channels_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        launch_maps<T>(queue_, batch_, rows_.out, columns_.out, channels_,
                       ResizeForward<T>{arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), rows_,
                                        columns_, static_cast<int>(channels_)});
    }
    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        T* dx = arguments.input_gradients[0].view.as<T>();
        const auto channels = static_cast<int>(channels_);
        if (one_pass_) {
            launch_maps<T>(queue_, batch_, rows_.in, columns_.in, channels_,
                           ResizeBackward<T>{dy, dx, rows_, columns_, channels});
            return;
        }
        auto* partial = reinterpret_cast<float*>(arguments.workspace);
        launch_maps<T>(queue_, batch_, rows_.out, columns_.in, channels_,
                       CollapseColumns<T>{dy, partial, columns_, rows_.out, channels});
        const std::int64_t line = columns_.in * channels_;
        launch_maps<T>(queue_, batch_, rows_.in, 1, line,
                       CollapseRows<T>{partial, nullptr, dx, rows_, static_cast<int>(line)});
    }

  private:
    std::int64_t batch_, channels_;
    ResizedAxis rows_, columns_;
    bool one_pass_ = true;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Resize& op, const device::PlanRequest& request,
                                             Queue queue) {
    const Shape& x = request.descriptor.inputs[0].shape;
    if (!ResizedAxis::fits(x.height(), op.height) || !ResizedAxis::fits(x.width(), op.width)) return nullptr;
    return make_typed<ResizePlan>(op, request, queue);
}

}  // namespace terrane::cuda
