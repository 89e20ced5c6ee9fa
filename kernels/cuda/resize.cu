// Bilinear resize; backward in gather form.
#include "cuda/plans.hpp"
#include "formulas/bilinear.hpp"

namespace terrane::cuda {

namespace {

struct ResizeGeometry {
    std::int64_t in_height, in_width;
    std::int64_t out_height, out_width;
    std::int64_t channels;
    ops::Corners corners;
};

template <typename T>
struct ResizeForward {
    const T* x;
    T* y;
    ResizeGeometry g;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t sample = pixel / (g.out_height * g.out_width);
        const auto rows =
            formulas::tap<float>(pixel / g.out_width % g.out_height, g.in_height, g.out_height, g.corners);
        const auto columns = formulas::tap<float>(pixel % g.out_width, g.in_width, g.out_width, g.corners);
        const auto read = [&](std::int64_t row, std::int64_t column, float(&values)[width]) {
            load<width>(x, ((sample * g.in_height + row) * g.in_width + column) * g.channels + c, values);
        };
        float v00[width], v01[width], v10[width], v11[width];
        read(rows.index0, columns.index0, v00);
        read(rows.index0, columns.index1, v01);
        read(rows.index1, columns.index0, v10);
        read(rows.index1, columns.index1, v11);
        for (int i = 0; i < width; ++i)
            v00[i] = formulas::bilinear(rows, columns, v00[i], v01[i], v10[i], v11[i]);
        store<width>(y, pixel * g.channels + c, v00);
    }
};

template <typename T>
struct ResizeBackward {
    Terms<T> dy;
    T* dx;
    ResizeGeometry g;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t pixel, std::int64_t c) const {
        const std::int64_t source_column = pixel % g.in_width, source_row = pixel / g.in_width % g.in_height;
        const std::int64_t sample = pixel / (g.in_height * g.in_width);
        const auto rows = formulas::targets_reading(source_row, g.in_height, g.out_height, g.corners);
        const auto columns = formulas::targets_reading(source_column, g.in_width, g.out_width, g.corners);
        float sums[width] = {}, gradients[width];
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            const float row_weight = formulas::reading_weight(
                formulas::tap<float>(row, g.in_height, g.out_height, g.corners), source_row);
            for (std::int64_t column = columns.begin; column < columns.end; ++column) {
                const float weight =
                    row_weight *
                    formulas::reading_weight(formulas::tap<float>(column, g.in_width, g.out_width, g.corners),
                                             source_column);
                dy.template read<width>(
                    ((sample * g.out_height + row) * g.out_width + column) * g.channels + c, gradients);
                for (int i = 0; i < width; ++i) sums[i] += weight * gradients[i];
            }
        }
        store<width>(dx, pixel * g.channels + c, sums);
    }
};

template <typename T>
class ResizePlan final : public KernelPlan<ops::Resize> {
  public:
    ResizePlan(const ops::Resize& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue), geometry_{input_shape(0).height(),
                                                    input_shape(0).width(),
                                                    op.height,
                                                    op.width,
                                                    input_shape(0).channels(),
                                                    op.corners} {}

    void forward(const device::ForwardArguments& arguments) override {
        launch_rows<T>(
            queue_, output_shape().pixels(), geometry_.channels,
            ResizeForward<T>{arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), geometry_});
    }
    void backward(const device::BackwardArguments& arguments) override {
        launch_rows<T>(queue_, input_shape(0).pixels(), geometry_.channels,
                       ResizeBackward<T>{terms_of<T>(arguments.output_gradients[0]),
                                         arguments.input_gradients[0].view.as<T>(), geometry_});
    }

  private:
    ResizeGeometry geometry_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Resize& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<ResizePlan>(op, request, queue);
}

}  // namespace terrane::cuda
