// Ops that rearrange, shift or scale whole channels: concat, slice, channel add, gated sum.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/activation.hpp"

namespace terrane::cuda {

namespace {

/// Copies columns of rows between tensors of different row lengths; outside of the source's columns zeros.
template <typename T>
struct CopyColumns {
    Terms<T> source;
    T* target;
    std::int64_t source_stride, target_stride;
    std::int64_t shift;    ///< source column = target column + shift
    std::int64_t columns;  ///< of the source that may be read, from 0 on
    std::int64_t target_first;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        const std::int64_t from = column + shift;
        float values[width] = {};
        if (from >= 0 && from < columns) source.template read<width>(row * source_stride + from, values);
        store<width>(target, row * target_stride + target_first + column, values);
    }
};

/// Packs only where all of it is a multiple of a pack.
template <typename T>
void launch_copy(Queue queue, std::int64_t rows, std::int64_t columns, const CopyColumns<T>& work) {
    constexpr std::int64_t width = full_pack<T>;
    const bool aligned = columns % width == 0 && work.source_stride % width == 0 &&
                         work.target_stride % width == 0 && work.shift % width == 0 &&
                         work.columns % width == 0 && work.target_first % width == 0;
    if (aligned) {
        launch(queue, rows * (columns / width), Rowwise<full_pack<T>, CopyColumns<T>>{work, columns / width});
    } else {
        launch(queue, rows * columns, Rowwise<1, CopyColumns<T>>{work, columns});
    }
}

template <typename T>
class ConcatPlan final : public KernelPlan<ops::Concat> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const std::int64_t all = output_shape().channels();
        std::int64_t first = 0;
        for (const TensorView& x : arguments.inputs) {
            const std::int64_t own = x.shape().channels();
            launch_copy<T>(queue_, output_shape().pixels(), own,
                           {{x.as<T>()}, arguments.outputs[0].as<T>(), own, all, 0, own, first});
            first += own;
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        const std::int64_t all = output_shape().channels();
        std::int64_t first = 0;
        for (std::size_t i = 0; i < inputs_.size(); ++i) {
            const std::int64_t own = input_shape(i).channels();
            if (const TensorView& dx = arguments.input_gradients[i].view; dx) {
                launch_copy<T>(queue_, output_shape().pixels(), own,
                               {dy, dx.as<T>(), all, own, first, all, 0});
            }
            first += own;
        }
    }
};

template <typename T>
class SlicePlan final : public KernelPlan<ops::Slice> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const std::int64_t all = input_shape(0).channels(), own = op_.end - op_.begin;
        launch_copy<T>(
            queue_, output_shape().pixels(), own,
            {{arguments.inputs[0].as<T>()}, arguments.outputs[0].as<T>(), all, own, op_.begin, all, 0});
    }
    void backward(const device::BackwardArguments& arguments) override {
        const std::int64_t all = input_shape(0).channels(), own = op_.end - op_.begin;
        launch_copy<T>(queue_, output_shape().pixels(), all,
                       {terms_of<T>(arguments.output_gradients[0]), arguments.input_gradients[0].view.as<T>(),
                        own, all, -op_.begin, own, 0});
    }
};

template <typename T>
struct ChannelAddForward {
    const T *x, *shift;
    T* y;
    std::int64_t channels, area;  ///< area 0: one shift for all samples

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        float values[width], shifts[width];
        load<width>(x, row * channels + column, values);
        load<width>(shift, (area > 0 ? row / area : 0) * channels + column, shifts);
        for (int i = 0; i < width; ++i) values[i] += shifts[i];
        store<width>(y, row * channels + column, values);
    }
};

template <typename T>
struct ChannelAddGradient {
    static constexpr int sums = 1;
    Terms<T> dy;
    T* target;
    std::int64_t channels;

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
    TERRANE_HOST_DEVICE void finish(std::int64_t column, const double (&total)[1]) const {
        target[column] = T(static_cast<float>(total[0]));
    }
};

template <typename T>
struct PassRows {
    Terms<T> dy;
    T* dx;
    std::int64_t channels;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        float values[width];
        dy.template read<width>(row * channels + column, values);
        store<width>(dx, row * channels + column, values);
    }
};

template <typename T>
class ChannelAddPlan final : public KernelPlan<ops::ChannelAdd> {
  public:
    ChannelAddPlan(const ops::ChannelAdd& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          channels_(output_shape().channels()),
          shifts_(input_shape(1)[0]),
          geometry_(output_shape().pixels() / shifts_, channels_) {
        if (wants(1)) requirements_.backward_workspace = geometry_.bytes(1);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const std::int64_t area = shifts_ == 1 ? 0 : output_shape().pixels() / output_shape()[0];
        launch_rows<T>(queue_, output_shape().pixels(), channels_,
                       ChannelAddForward<T>{arguments.inputs[0].as<T>(), arguments.inputs[1].as<T>(),
                                            arguments.outputs[0].as<T>(), channels_, area});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            launch_rows<T>(queue_, output_shape().pixels(), channels_,
                           PassRows<T>{dy, dx.as<T>(), channels_});
        }
        const TensorView& dshift = arguments.input_gradients[1].view;
        if (!dshift) return;
        const std::int64_t part = geometry_.rows * channels_;
        for (std::int64_t n = 0; n < shifts_; ++n) {
            const Terms<T> own{dy.first + n * part, dy.second == nullptr ? nullptr : dy.second + n * part};
            launch_column_sums(queue_, geometry_, reinterpret_cast<double*>(arguments.workspace),
                               ChannelAddGradient<T>{own, dshift.as<T>() + n * channels_, channels_});
        }
    }

  private:
    std::int64_t channels_, shifts_;
    ColumnGeometry geometry_;
};

constexpr int most_streams = 16;

/// The streams of a gated sum and the factor with which each enters a pixel.
template <typename T>
struct GatedStreams {
    const T* streams[most_streams];
    const T* gates;
    const float* presence;
    int count;
    std::int64_t area, channels;

    TERRANE_HOST_DEVICE float present(std::int64_t pixel, int m) const {
        return presence[pixel / area * count + m];
    }
    TERRANE_HOST_DEVICE float gate(std::int64_t pixel, int m) const {
        return formulas::sigmoid(static_cast<float>(gates[pixel * count + m]));
    }
};

template <typename T>
struct GatedForward {
    GatedStreams<T> in;
    T* z;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t column) const {
        const std::int64_t first = pixel * in.channels + column;
        float sums[width] = {};
        for (int m = 0; m < in.count; ++m) {
            const float factor = in.present(pixel, m) * in.gate(pixel, m);
            if (factor == 0) continue;  // an absent modality's stream is not looked at, whatever it holds
            float values[width];
            load<width>(in.streams[m], first, values);
            for (int i = 0; i < width; ++i) sums[i] += factor * values[i];
        }
        store<width>(z, first, sums);
    }
};

/// dx of all streams, and the gates' gradients; a warp per pixel.
template <typename T>
struct GatedBackward {
    static constexpr int threads = warp_threads;
    struct Shared {
        float sums[most_streams][warp_threads];
    };
    GatedStreams<T> in;
    Terms<T> dz;
    T* dx[most_streams];
    T* dgates;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t pixel) const {
        team.each([&](int thread) {
            for (int m = 0; m < in.count; ++m) {
                const float present = in.present(pixel, m), factor = present * in.gate(pixel, m);
                float sum = 0;
                for (std::int64_t c = thread; c < in.channels; c += threads) {
                    const std::int64_t i = pixel * in.channels + c;
                    const float gradient = dz[i];
                    if (dx[m] != nullptr) dx[m][i] = T(factor * gradient);
                    if (dgates != nullptr && present != 0)
                        sum += gradient * static_cast<float>(in.streams[m][i]);
                }
                team.shared.sums[m][thread] = sum;
            }
        });
        if (dgates == nullptr) return;
        for (int m = 0; m < in.count; ++m) team.sum(team.shared.sums[m]);
        team.each([&](int thread) {
            if (thread >= in.count) return;
            const float g = in.gate(pixel, thread);
            dgates[pixel * in.count + thread] =
                T(in.present(pixel, thread) * g * (1 - g) * team.shared.sums[thread][0]);
        });
    }
};

template <typename T>
class GatedSumPlan final : public KernelPlan<ops::GatedSum> {
  public:
    GatedSumPlan(const ops::GatedSum& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue), count_(inputs_.size() - 2) {}

    void forward(const device::ForwardArguments& arguments) override {
        launch_rows<T>(queue_, output_shape().pixels(), output_shape().channels(),
                       GatedForward<T>{streams_of(arguments.inputs), arguments.outputs[0].as<T>()});
    }
    void backward(const device::BackwardArguments& arguments) override {
        GatedBackward<T> work{
            streams_of(arguments.inputs), terms_of<T>(arguments.output_gradients[0]), {}, nullptr};
        for (std::size_t m = 0; m < count_; ++m) {
            if (const TensorView& dx = arguments.input_gradients[m].view; dx) work.dx[m] = dx.as<T>();
        }
        if (const TensorView& dgates = arguments.input_gradients[count_].view; dgates)
            work.dgates = dgates.as<T>();
        launch_teams(queue_, output_shape().pixels(), work);
    }

  private:
    GatedStreams<T> streams_of(std::span<const TensorView> inputs) const {
        GatedStreams<T> streams{{},
                                inputs[count_].as<T>(),
                                inputs[count_ + 1].as<float>(),
                                static_cast<int>(count_),
                                output_shape().pixels() / output_shape()[0],
                                output_shape().channels()};
        for (std::size_t m = 0; m < count_; ++m) streams.streams[m] = inputs[m].as<T>();
        return streams;
    }

    std::size_t count_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Concat& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<ConcatPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Slice& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<SlicePlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::ChannelAdd& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<ChannelAddPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::GatedSum& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (request.descriptor.inputs.size() - 2 > most_streams) return nullptr;
    return make_typed<GatedSumPlan>(op, request, queue);
}

}  // namespace terrane::cuda
