#include <cstring>

#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

/// Concat and Slice only move bytes: one implementation for all types.
namespace terrane::cpu {
namespace {

/// Copies `width` bytes per pixel between two rows of different pitch.
void copy_pixels(const std::byte* from, std::int64_t from_pitch, std::byte* to, std::int64_t to_pitch,
                 std::int64_t width, std::int64_t begin, std::int64_t end) {
    if (from_pitch == width && to_pitch == width) {
        std::memcpy(to + begin * width, from + begin * width,
                    static_cast<std::size_t>((end - begin) * width));
        return;
    }
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        std::memcpy(to + pixel * to_pitch, from + pixel * from_pitch, static_cast<std::size_t>(width));
    }
}

std::int64_t pixel_bytes(const TensorSpec& spec) {
    return spec.shape.channels() * static_cast<std::int64_t>(size_of(spec.dtype));
}

class ConcatPlan final : public LoopPlan {
  public:
    explicit ConcatPlan(const device::PlanRequest& request)
        : pixels_(request.descriptor.outputs[0].shape.pixels()),
          pitch_(pixel_bytes(request.descriptor.outputs[0])) {
        for (const TensorSpec& input : request.descriptor.inputs) widths_.push_back(pixel_bytes(input));
    }

    void forward(const device::ForwardArguments& arguments) override {
        std::byte* const y = arguments.outputs[0].data;
        for_strips([&](std::size_t input, std::int64_t offset, std::int64_t begin, std::int64_t end) {
            const std::int64_t width = widths_[input];
            copy_pixels(arguments.inputs[input].data, width, y + offset, pitch_, width, begin, end);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const std::byte* const dy = arguments.output_gradients[0][0].data;
        for_strips([&](std::size_t input, std::int64_t offset, std::int64_t begin, std::int64_t end) {
            const std::int64_t width = widths_[input];
            std::byte* const dx = arguments.input_gradients[input].view.data;
            if (dx) copy_pixels(dy + offset, pitch_, dx, width, width, begin, end);
        });
    }

  private:
    /// body(input, offset in the joined pixel, begin, end) over strips of pixels whose joined part stays in
    /// the cache while all inputs take their turn.
    template <typename Body>
    void for_strips(const Body& body) const {
        parallel_range(pixels_, 2 * pixels_ * pitch_, 1, [&](std::int64_t begin, std::int64_t end) {
            const std::int64_t strip = std::max<std::int64_t>(1, 65536 / pitch_);
            for (std::int64_t at = begin; at < end; at += strip) {
                std::int64_t offset = 0;
                for (std::size_t i = 0; i < widths_.size(); ++i) {
                    body(i, offset, at, std::min(end, at + strip));
                    offset += widths_[i];
                }
            }
        });
    }

    std::int64_t pixels_, pitch_;
    std::vector<std::int64_t> widths_;  ///< bytes per pixel of each input
};

class SlicePlan final : public LoopPlan {
  public:
    explicit SlicePlan(const device::PlanRequest& request)
        : pixels_(request.descriptor.outputs[0].shape.pixels()),
          pitch_(pixel_bytes(request.descriptor.inputs[0])),
          width_(pixel_bytes(request.descriptor.outputs[0])),
          offset_(std::get<ops::Slice>(request.descriptor.op).begin *
                  static_cast<std::int64_t>(size_of(request.descriptor.inputs[0].dtype))) {}

    void forward(const device::ForwardArguments& arguments) override {
        const std::byte* const x = arguments.inputs[0].data + offset_;
        std::byte* const y = arguments.outputs[0].data;
        parallel_range(pixels_, 2 * pixels_ * width_, 1, [&](std::int64_t begin, std::int64_t end) {
            copy_pixels(x, pitch_, y, width_, width_, begin, end);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        std::byte* const dx = arguments.input_gradients[0].view.data;
        if (!dx) return;
        const std::byte* const dy = arguments.output_gradients[0][0].data;
        parallel_range(pixels_, pixels_ * (pitch_ + width_), 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t pixel = begin; pixel < end; ++pixel) {
                std::byte* const to = dx + pixel * pitch_;
                std::memset(to, 0, static_cast<std::size_t>(offset_));
                std::memcpy(to + offset_, dy + pixel * width_, static_cast<std::size_t>(width_));
                std::memset(to + offset_ + width_, 0, static_cast<std::size_t>(pitch_ - offset_ - width_));
            }
        });
    }

  private:
    std::int64_t pixels_, pitch_, width_, offset_;
};

}  // namespace

Offer make_concat(const device::PlanRequest& request) {
    return std::make_unique<ConcatPlan>(request);
}

Offer make_slice(const device::PlanRequest& request) {
    return std::make_unique<SlicePlan>(request);
}

}  // namespace terrane::cpu
