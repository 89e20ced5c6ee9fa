// The ops of a recursive diffusion network's recursion, pixel by pixel. Their maps have as many channels as
// there are classes; beside the network's convolutions they cost little.
#include "formulas/diffusion.hpp"

#include <cstring>

#include "cpu/element.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/bilinear.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t most_channels = 256;  // labels are bytes
constexpr std::int64_t math_cost = 8;        // how much longer than copying exponentials take

/// visit(pixel) over all pixels of a map, shared out in runs.
template <typename Visit>
void for_each_pixel(const Shape& shape, std::int64_t cost, const Visit& visit) {
    parallel_range(shape.pixels(), cost * shape.elements() * 8, 64,
                   [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t pixel = begin; pixel < end; ++pixel) visit(pixel);
                   });
}

template <typename T>
void read_pixel(const T* map, std::int64_t pixel, std::int64_t channels, float* values) {
    for (std::int64_t c = 0; c < channels; ++c) values[c] = load(map + pixel * channels + c);
}

class TimeEmbeddingPlan final : public LoopPlan {
  public:
    explicit TimeEmbeddingPlan(const device::PlanRequest& request)
        : op_(std::get<ops::TimeEmbedding>(request.descriptor.op)) {}

    void forward(const device::ForwardArguments& arguments) override {
        if (op_.dtype == DType::bf16)
            return write(arguments.inputs[0].as<float>()[0], arguments.outputs[0].as<bfloat16>());
        write(arguments.inputs[0].as<float>()[0], arguments.outputs[0].as<float>());
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    template <typename T>
    void write(float time, T* y) const {
        const std::int64_t half = op_.channels / 2;
        for (std::int64_t k = 0; k < half; ++k) {
            const float angle = time * formulas::time_frequency<float>(k, half);
            store(y + k, std::sin(angle));
            store(y + half + k, std::cos(angle));
        }
    }
    ops::TimeEmbedding op_;
};

class SoftTargetsPlan final : public LoopPlan {
  public:
    explicit SoftTargetsPlan(const device::PlanRequest& request)
        : op_(std::get<ops::SoftTargets>(request.descriptor.op)),
          from_(request.descriptor.inputs[0].shape),
          to_(request.descriptor.outputs[0].shape) {}

    void forward(const device::ForwardArguments& arguments) override {
        const auto* const labels = arguments.inputs[0].as<std::uint8_t>();
        auto* const y = arguments.outputs[0].as<float>();
        for_each_pixel(to_, 1, [&](std::int64_t pixel) {
            const std::int64_t n = pixel / (op_.height * op_.width);
            const auto row = formulas::tap<float>(pixel / op_.width % op_.height, from_[1], op_.height,
                                                  ops::Corners::half_pixel);
            const auto column =
                formulas::tap<float>(pixel % op_.width, from_[2], op_.width, ops::Corners::half_pixel);
            float* const shares = y + pixel * op_.classes;
            std::fill_n(shares, op_.classes, 0.0f);
            bool touches_void = false;
            const auto add = [&](std::int64_t r, std::int64_t c, float weight) {
                if (weight == 0) return;
                const std::int64_t label = labels[(n * from_[1] + r) * from_[2] + c];
                if (label < op_.classes) {
                    shares[label] += weight;
                } else {
                    touches_void = true;
                }
            };
            add(row.index0, column.index0, row.weight0 * column.weight0);
            add(row.index0, column.index1, row.weight0 * column.weight1);
            add(row.index1, column.index0, row.weight1 * column.weight0);
            add(row.index1, column.index1, row.weight1 * column.weight1);
            if (touches_void && op_.void_pixels == ops::VoidPixels::masked)
                std::fill_n(shares, op_.classes, 0.0f);
        });
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    ops::SoftTargets op_;
    Shape from_, to_;
};

class UniformStatePlan final : public LoopPlan {
  public:
    explicit UniformStatePlan(const device::PlanRequest& request)
        : shape_(request.descriptor.outputs[0].shape) {}

    void forward(const device::ForwardArguments& arguments) override {
        const auto* const keys = arguments.inputs[0].as<std::int64_t>();
        auto* const y = arguments.outputs[0].as<float>();
        const std::int64_t per_sample = shape_.elements() / shape_.batch();
        const std::uint64_t seed = arguments.step->seed;
        parallel_range(shape_.elements(), math_cost * shape_.elements() * 8, 4096,
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t at = begin; at < end;) {
                               const std::int64_t sample = at / per_sample;
                               const std::int64_t stop = std::min(end, (sample + 1) * per_sample);
                               formulas::SampleNoise noise(seed, keys[sample],
                                                           formulas::moment_of_the_beginning);
                               for (; at < stop; ++at) y[at] = noise.uniform(at - sample * per_sample);
                           }
                       });
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    Shape shape_;
};

template <typename T>
class DiffusePlan final : public LoopPlan {
  public:
    explicit DiffusePlan(const device::PlanRequest& request)
        : op_(std::get<ops::Diffuse>(request.descriptor.op)), shape_(request.descriptor.inputs[0].shape) {}

    void forward(const device::ForwardArguments& arguments) override {
        if (op_.dtype == DType::bf16) return diffuse(arguments, arguments.outputs[0].as<bfloat16>());
        diffuse(arguments, arguments.outputs[0].as<float>());
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    template <typename Y>
    void diffuse(const device::ForwardArguments& arguments, Y* y) const {
        const T* const state = arguments.inputs[0].as<T>();
        const float time = arguments.inputs[1].as<float>()[0];
        const auto* const keys = arguments.inputs[2].as<std::int64_t>();
        const std::int64_t channels = shape_.channels(), row = shape_.width() * channels;
        parallel_range(shape_.batch() * shape_.height(), math_cost * shape_.elements() * 8, 1,
                       [&](std::int64_t begin, std::int64_t end) {
                           float values[most_channels];
                           for (std::int64_t at = begin; at < end; ++at) {
                               const std::int64_t first = at % shape_.height() * row;  // within the sample
                               formulas::SampleNoise noise(arguments.step->seed, keys[at / shape_.height()],
                                                           formulas::moment_of(time));
                               for (std::int64_t x = 0; x < shape_.width(); ++x) {
                                   read_pixel(state + at * row, x, channels, values);
                                   if (op_.prior == ops::Diffuse::Prior::softmax)
                                       formulas::softmax_in_place(values, channels);
                                   for (std::int64_t c = 0; c < channels; ++c) {
                                       const float drawn = noise.normal<float>(first + x * channels + c);
                                       store(y + at * row + x * channels + c,
                                             formulas::clipped(values[c] + time * drawn));
                                   }
                               }
                           }
                       });
    }

    ops::Diffuse op_;
    Shape shape_;
};

template <typename T>
class DenoisePlan final : public LoopPlan {
  public:
    explicit DenoisePlan(const device::PlanRequest& request)
        : count_(request.descriptor.inputs[0].shape.elements()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        const T* const f = arguments.inputs[1].as<T>();
        float* const y = arguments.outputs[0].as<float>();
        each([&](std::int64_t i) { y[i] = load(x + i) - load(f + i); });
    }
    void backward(const device::BackwardArguments& arguments) override {
        const float* const dy = arguments.output_gradients[0][0].as<float>();
        if (T* const dx = optional<T>(arguments.input_gradients[0].view)) {
            each([&](std::int64_t i) { store(dx + i, dy[i]); });
        }
        if (T* const df = optional<T>(arguments.input_gradients[1].view)) {
            each([&](std::int64_t i) { store(df + i, -dy[i]); });
        }
    }

  private:
    template <typename Visit>
    void each(const Visit& visit) const {
        parallel_range(count_, count_ * 12, 1024, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) visit(i);
        });
    }
    std::int64_t count_;
};

template <typename T>
class SimplexProjectionPlan final : public LoopPlan {
  public:
    explicit SimplexProjectionPlan(const device::PlanRequest& request)
        : op_(std::get<ops::SimplexProjection>(request.descriptor.op)),
          shape_(request.descriptor.inputs[0].shape) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        float* const y = arguments.outputs[0].as<float>();
        const std::int64_t channels = shape_.channels();
        for_each_pixel(shape_, 1, [&](std::int64_t pixel) {
            float values[most_channels];
            read_pixel(x, pixel, channels, values);
            const float factor = 1.0f / sum_of(values).divisor;
            for (std::int64_t c = 0; c < channels; ++c) {
                y[pixel * channels + c] = std::max(values[c], floor()) * factor;
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        if (!dx) return;
        const T* const x = arguments.inputs[0].as<T>();
        const float* const dp = arguments.output_gradients[0][0].as<float>();
        const std::int64_t channels = shape_.channels();
        for_each_pixel(shape_, 1, [&](std::int64_t pixel) {
            float values[most_channels];
            read_pixel(x, pixel, channels, values);
            const auto sum = sum_of(values);
            const float factor = 1.0f / sum.divisor;
            const float* const slope = dp + pixel * channels;
            float along = 0;
            for (std::int64_t c = 0; c < channels && sum.follows; ++c) {
                along += slope[c] * std::max(values[c], floor()) * factor;
            }
            for (std::int64_t c = 0; c < channels; ++c) {
                store(dx + pixel * channels + c, values[c] >= floor() ? (slope[c] - along) * factor : 0.0f);
            }
        });
    }

  private:
    float floor() const { return static_cast<float>(op_.floor); }
    formulas::ProjectionSum<float> sum_of(const float* values) const {
        return formulas::projection_sum(values, shape_.channels(), floor(),
                                        static_cast<float>(op_.least_sum));
    }
    ops::SimplexProjection op_;
    Shape shape_;
};

template <typename T>
class StateBlendPlan final : public LoopPlan {
  public:
    explicit StateBlendPlan(const device::PlanRequest& request)
        : op_(std::get<ops::StateBlend>(request.descriptor.op)), shape_(request.descriptor.inputs[0].shape) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const previous = arguments.inputs[0].as<T>();
        const T* const proposal = arguments.inputs[1].as<T>();
        const bool begins = arguments.inputs[2].as<float>()[0] > 0.5f;
        T* const y = arguments.outputs[0].as<T>();
        const std::int64_t channels = shape_.channels();
        for_each_pixel(shape_, math_cost, [&](std::int64_t pixel) {
            float before[most_channels], after[most_channels];
            read_pixel(previous, pixel, channels, before);
            read_pixel(proposal, pixel, channels, after);
            const float gain = formulas::blend_gain(op_, begins, before, after, channels);
            for (std::int64_t c = 0; c < channels; ++c) {
                store(y + pixel * channels + c, (1.0f - gain) * before[c] + gain * after[c]);
            }
        });
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    ops::StateBlend op_;
    Shape shape_;
};

/// Sums are taken per block of pixels of fixed size and added up in order.
template <typename T>
class BrierLossPlan final : public LoopPlan {
  public:
    explicit BrierLossPlan(const device::PlanRequest& request)
        : op_(std::get<ops::BrierLoss>(request.descriptor.op)), shape_(request.descriptor.inputs[0].shape) {
        requirements_.forward_workspace = static_cast<std::size_t>(2 * blocks()) * sizeof(double);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        const float* const truth = arguments.inputs[1].as<float>();
        const float* const weights = arguments.inputs[2].as<float>();
        auto* const sums = reinterpret_cast<double*>(arguments.workspace);
        const std::int64_t channels = shape_.channels();
        parallel_blocks(blocks(), shape_.elements() * 8, [&](std::int64_t block) {
            double loss = 0, weight_sum = 0;
            const std::int64_t end = std::min(shape_.pixels(), (block + 1) * block_pixels);
            for (std::int64_t pixel = block * block_pixels; pixel < end; ++pixel) {
                const float* const target = truth + pixel * channels;
                const float weight = formulas::pixel_weight(target, weights, channels, op_.void_pixels);
                float square = 0;
                for (std::int64_t c = 0; c < channels; ++c) {
                    const float difference = load(x + pixel * channels + c) - target[c];
                    square += difference * difference;
                }
                loss += static_cast<double>(weight * square);
                weight_sum += static_cast<double>(weight);
            }
            sums[2 * block] = loss / static_cast<double>(channels);
            sums[2 * block + 1] = weight_sum;
        });
        auto* const output = arguments.outputs[0].as<double>();
        output[0] = output[1] = 0;
        for (std::int64_t block = 0; block < blocks(); ++block) {
            output[0] += sums[2 * block];
            output[1] += sums[2 * block + 1];
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        if (!dx) return;
        const T* const x = arguments.inputs[0].as<T>();
        const float* const truth = arguments.inputs[1].as<float>();
        const float* const weights = arguments.inputs[2].as<float>();
        const std::int64_t channels = shape_.channels();
        const float scale = static_cast<float>(2 * op_.loss_weight / static_cast<double>(channels));
        for_each_pixel(shape_, 1, [&](std::int64_t pixel) {
            const float* const target = truth + pixel * channels;
            const float factor = scale * formulas::pixel_weight(target, weights, channels, op_.void_pixels);
            for (std::int64_t c = 0; c < channels; ++c) {
                const std::int64_t i = pixel * channels + c;
                store(dx + i, factor * (load(x + i) - target[c]));
            }
        });
    }

  private:
    static constexpr std::int64_t block_pixels = 4096;
    std::int64_t blocks() const { return (shape_.pixels() + block_pixels - 1) / block_pixels; }

    ops::BrierLoss op_;
    Shape shape_;
};

class PatchesPlan final : public LoopPlan {
  public:
    explicit PatchesPlan(const device::PlanRequest& request)
        : cuts_(std::get<ops::Patches>(request.descriptor.op).direction == ops::Patches::Direction::cut),
          map_((cuts_ ? request.descriptor.inputs : request.descriptor.outputs)[0].shape),
          patches_((cuts_ ? request.descriptor.outputs : request.descriptor.inputs)[0].shape),
          row_bytes_(static_cast<std::size_t>(patches_.width() * patches_.channels()) *
                     size_of(request.descriptor.inputs[0].dtype)) {}

    void forward(const device::ForwardArguments& arguments) override {
        const std::byte* const x = arguments.inputs[0].data;
        std::byte* const y = arguments.outputs[0].data;
        const std::int64_t across = map_.width() / patches_.width();
        const std::int64_t rows = patches_.batch() * patches_.height();
        parallel_range(
            rows, 2 * rows * static_cast<std::int64_t>(row_bytes_), 1,
            [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t at = begin; at < end; ++at) {
                    const std::int64_t patch = at / patches_.height(), row = at % patches_.height();
                    const std::int64_t sample = patch % map_.batch(), place = patch / map_.batch();
                    const std::int64_t in_map =
                        (sample * map_.height() + place / across * patches_.height() + row) * across +
                        place % across;
                    const auto from = static_cast<std::size_t>(cuts_ ? in_map : at) * row_bytes_;
                    const auto to = static_cast<std::size_t>(cuts_ ? at : in_map) * row_bytes_;
                    std::memcpy(y + to, x + from, row_bytes_);
                }
            });
    }
    void backward(const device::BackwardArguments&) override {}

  private:
    bool cuts_;
    Shape map_, patches_;
    std::size_t row_bytes_;
};

/// f32 or bf16 outputs only: f64 programs are the reference's.
Offer unless_double(DType dtype, std::unique_ptr<device::OpPlan> plan) {
    if (dtype == DType::f64) return Refusal{"it writes f32 and bf16, not f64"};
    return plan;
}

}  // namespace

Offer make_time_embedding(const device::PlanRequest& request) {
    return unless_double(request.descriptor.outputs[0].dtype, std::make_unique<TimeEmbeddingPlan>(request));
}
Offer make_soft_targets(const device::PlanRequest& request) {
    return unless_double(request.descriptor.outputs[0].dtype, std::make_unique<SoftTargetsPlan>(request));
}
Offer make_uniform_state(const device::PlanRequest& request) {
    return unless_double(request.descriptor.outputs[0].dtype, std::make_unique<UniformStatePlan>(request));
}
Offer make_diffuse(const device::PlanRequest& request) {
    return offer_by_type<DiffusePlan>(request);
}
Offer make_denoise(const device::PlanRequest& request) {
    return offer_by_type<DenoisePlan>(request);
}
Offer make_simplex_projection(const device::PlanRequest& request) {
    return offer_by_type<SimplexProjectionPlan>(request);
}
Offer make_state_blend(const device::PlanRequest& request) {
    return offer_by_type<StateBlendPlan>(request);
}
Offer make_brier_loss(const device::PlanRequest& request) {
    return offer_by_type<BrierLossPlan>(request);
}
Offer make_patches(const device::PlanRequest& request) {
    return std::make_unique<PatchesPlan>(request);
}

}  // namespace terrane::cpu
