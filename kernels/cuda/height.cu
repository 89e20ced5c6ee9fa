// What CADEF reads from the height map.
#include "cuda/plans.hpp"
#include "formulas/diffusion.hpp"

namespace terrane::cuda {

namespace {

struct Extent {
    float lowest, highest;
};

/// The lowest and highest value of one map.
struct FindExtent {
    static constexpr int threads = block_threads;
    struct Shared {
        float lowest[block_threads], highest[block_threads];
    };
    Floats heights;
    std::int64_t pixels;
    Extent* extents;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t sample) const {
        team.each([&](int thread) {
            float lowest = heights[sample * pixels], highest = lowest;
            for (std::int64_t i = thread; i < pixels; i += threads) {
                const float value = heights[sample * pixels + i];
                lowest = value < lowest ? value : lowest;
                highest = value > highest ? value : highest;
            }
            team.shared.lowest[thread] = lowest;
            team.shared.highest[thread] = highest;
        });
        team.join(team.shared.lowest, [](float a, float b) { return b < a ? b : a; });
        team.join(team.shared.highest, [](float a, float b) { return b > a ? b : a; });
        team.each([&](int thread) {
            if (thread == 0) extents[sample] = {team.shared.lowest[0], team.shared.highest[0]};
        });
    }
};

struct HeightGeometry {
    std::int64_t in_height, in_width, rows, columns, shrink;
};

struct AverageHeights {
    Floats heights;
    HeightGeometry g;
    const Extent* extents;
    std::int64_t maps;  ///< whose extents they are
    float* pooled;      ///< [samples, rows, columns]

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t sample = i / (g.rows * g.columns), place = i % (g.rows * g.columns);
        const Extent own = extents[sample % maps];
        const float spread = own.highest - own.lowest + 1e-6f;
        float sum = 0;
        for (std::int64_t k = 0; k < g.shrink * g.shrink; ++k) {
            const std::int64_t row = place / g.columns * g.shrink + k / g.shrink;
            const std::int64_t column = place % g.columns * g.shrink + k % g.shrink;
            sum += (heights[(sample * g.in_height + row) * g.in_width + column] - own.lowest) / spread;
        }
        pooled[i] = sum / static_cast<float>(g.shrink * g.shrink);
    }
};

struct EncodeHeights {
    const float* pooled;
    HeightGeometry g;
    ops::HeightEncoding::Border border;
    FloatsOut y;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        constexpr std::int64_t position = ops::HeightEncoding::position_channels, channels = position + 3;
        const std::int64_t place = i / channels, c = i % channels;
        const std::int64_t column = place % g.columns, row = place / g.columns % g.rows;
        if (c < position) {
            y.store(i, formulas::position_code(c, formulas::spaced<float>(column, g.columns),
                                               formulas::spaced<float>(row, g.rows)));
        } else if (c == position) {
            y.store(i, pooled[place]);
        } else {
            y.store(i, gradient(place, row, column, c == position + 1));
        }
    }

    TERRANE_HOST_DEVICE float gradient(std::int64_t place, std::int64_t row, std::int64_t column,
                                       bool along_x) const {
        const float* map = pooled + (place - row * g.columns - column);
        float sum = 0;
        for (int r = 0; r < 3; ++r) {
            for (int c = 0; c < 3; ++c) {
                std::int64_t y_at = row + r - 1, x_at = column + c - 1;
                if (border == ops::HeightEncoding::Border::replicate) {
                    y_at = y_at < 0 ? 0 : (y_at < g.rows ? y_at : g.rows - 1);
                    x_at = x_at < 0 ? 0 : (x_at < g.columns ? x_at : g.columns - 1);
                }
                if (y_at < 0 || y_at >= g.rows || x_at < 0 || x_at >= g.columns) continue;
                const int weight = along_x ? formulas::sobel_x(r, c) : formulas::sobel_y(r, c);
                sum += static_cast<float>(weight) * map[y_at * g.columns + x_at];
            }
        }
        return sum;
    }
};

class HeightEncodingPlan final : public KernelPlan<ops::HeightEncoding> {
  public:
    HeightEncodingPlan(const ops::HeightEncoding& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          geometry_{input_shape(0).height(), input_shape(0).width(), output_shape().height(),
                    output_shape().width(), op.shrink} {
        requirements_.forward_workspace =
            carved<Extent>(whole().batch()) + carved<float>(output_shape().pixels());
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        auto* extents = workspace.take<Extent>(whole().batch());
        auto* pooled = workspace.take<float>(output_shape().pixels());
        const Floats heights = floats(arguments.inputs[0]);
        launch_teams(
            queue_, whole().batch(),
            FindExtent{floats(arguments.inputs.back()), whole().height() * whole().width(), extents});
        launch(queue_, output_shape().pixels(),
               AverageHeights{heights, geometry_, extents, whole().batch(), pooled});
        launch(queue_, output_shape().elements(),
               EncodeHeights{pooled, geometry_, op_.border, floats_out(arguments.outputs[0])});
    }

  private:
    /// The maps whose range counts: the heights themselves where no others are given.
    const Shape& whole() const { return inputs_.back().shape; }

    HeightGeometry geometry_;
};

struct Slope {
    Floats gradients;
    FloatsOut y;
    bool falling;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        float gx = gradients[2 * i], gy = gradients[2 * i + 1];
        if (falling) {
            gx = gx > 0 ? gx : 0;
            gy = gy > 0 ? gy : 0;
        }
        y.store(i, std::sqrt(gx * gx + gy * gy + 1e-12f));
    }
};

class SlopeMagnitudePlan final : public KernelPlan<ops::SlopeMagnitude> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        launch(queue_, output_shape().elements(),
               Slope{floats(arguments.inputs[0]), floats_out(arguments.outputs[0]),
                     op_.counts == ops::SlopeMagnitude::Counts::falling});
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::HeightEncoding& op,
                                             const device::PlanRequest& request, Queue queue) {
    if (!has_float_types(request)) return nullptr;
    return std::make_unique<HeightEncodingPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::SlopeMagnitude& op,
                                             const device::PlanRequest& request, Queue queue) {
    if (!has_float_types(request)) return nullptr;
    return std::make_unique<SlopeMagnitudePlan>(op, request, queue);
}

}  // namespace terrane::cuda
