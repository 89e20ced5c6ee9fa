// What CADEF reads from the height map: computed once per batch and scale, so plain loops suffice.
#include <algorithm>

#include "cpu/element.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/diffusion.hpp"

namespace terrane::cpu {
namespace {

template <typename T>
class HeightEncodingPlan final : public LoopPlan {
  public:
    explicit HeightEncodingPlan(const device::PlanRequest& request)
        : op_(std::get<ops::HeightEncoding>(request.descriptor.op)),
          x_(request.descriptor.inputs[0].shape),
          whole_(request.descriptor.inputs.back().shape),
          y_(request.descriptor.outputs[0].shape) {
        requirements_.forward_workspace = static_cast<std::size_t>(y_.pixels()) * sizeof(float);
    }

    void forward(const device::ForwardArguments& arguments) override {
        auto* const pooled = reinterpret_cast<float*>(arguments.workspace);
        const std::int64_t area = y_.height() * y_.width();
        parallel_blocks(x_.batch(), y_.elements() * 64, [&](std::int64_t sample) {
            float* const heights = pooled + sample * area;
            const std::int64_t whole = whole_.height() * whole_.width();
            pool(arguments.inputs[0].as<T>() + sample * x_.height() * x_.width(),
                 arguments.inputs.back().as<T>() + sample % whole_.batch() * whole, heights);
            for (std::int64_t i = 0; i < area; ++i) {
                write(heights, i, arguments.outputs[0].as<T>() + (sample * area + i) * y_.channels());
            }
        });
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    void pool(const T* heights, const T* range, float* pooled) const {
        float lowest = load(range), highest = lowest;
        for (std::int64_t i = 0; i < whole_.height() * whole_.width(); ++i) {
            lowest = std::min(lowest, load(range + i));
            highest = std::max(highest, load(range + i));
        }
        const float span = highest - lowest + 1e-6f;
        const std::int64_t shrink = op_.shrink;
        for (std::int64_t i = 0; i < y_.height() * y_.width(); ++i) {
            float sum = 0;
            for (std::int64_t k = 0; k < shrink * shrink; ++k) {
                const std::int64_t row = i / y_.width() * shrink + k / shrink;
                const std::int64_t column = i % y_.width() * shrink + k % shrink;
                sum += (load(heights + row * x_.width() + column) - lowest) / span;
            }
            pooled[i] = sum / static_cast<float>(shrink * shrink);
        }
    }

    void write(const float* pooled, std::int64_t i, T* y) const {
        constexpr std::int64_t position = ops::HeightEncoding::position_channels;
        const std::int64_t rows = y_.height(), columns = y_.width();
        const float at_x = formulas::spaced<float>(i % columns, columns);
        const float at_y = formulas::spaced<float>(i / columns, rows);
        for (std::int64_t c = 0; c < position; ++c) store(y + c, formulas::position_code(c, at_x, at_y));
        float gx = 0, gy = 0;
        for (int r = 0; r < 3; ++r) {
            for (int c = 0; c < 3; ++c) {
                std::int64_t row = i / columns + r - 1, column = i % columns + c - 1;
                if (op_.border == ops::HeightEncoding::Border::replicate) {
                    row = std::clamp<std::int64_t>(row, 0, rows - 1);
                    column = std::clamp<std::int64_t>(column, 0, columns - 1);
                }
                if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
                const float value = pooled[row * columns + column];
                gx += static_cast<float>(formulas::sobel_x(r, c)) * value;
                gy += static_cast<float>(formulas::sobel_y(r, c)) * value;
            }
        }
        store(y + position, pooled[i]);
        store(y + position + 1, gx);
        store(y + position + 2, gy);
    }

    ops::HeightEncoding op_;
    Shape x_, whole_, y_;
};

template <typename T>
class SlopeMagnitudePlan final : public LoopPlan {
  public:
    explicit SlopeMagnitudePlan(const device::PlanRequest& request)
        : falling_(std::get<ops::SlopeMagnitude>(request.descriptor.op).counts ==
                   ops::SlopeMagnitude::Counts::falling),
          count_(request.descriptor.outputs[0].shape.elements()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const g = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        parallel_range(count_, count_ * 12, 1024, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
                float gx = load(g + 2 * i), gy = load(g + 2 * i + 1);
                if (falling_) {
                    gx = std::max(gx, 0.0f);
                    gy = std::max(gy, 0.0f);
                }
                store(y + i, std::sqrt(gx * gx + gy * gy + 1e-12f));
            }
        });
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    bool falling_;
    std::int64_t count_;
};

}  // namespace

Offer make_height_encoding(const device::PlanRequest& request) {
    return offer_by_type<HeightEncodingPlan>(request);
}
Offer make_slope_magnitude(const device::PlanRequest& request) {
    return offer_by_type<SlopeMagnitudePlan>(request);
}

}  // namespace terrane::cpu
