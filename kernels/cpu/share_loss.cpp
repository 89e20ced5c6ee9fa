#include "formulas/share_loss.hpp"

#include "cpu/element.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

/// Every sample is summed by one thread in the order of its pixels, in double.
template <typename T>
class ShareLossPlan final : public LoopPlan {
  public:
    explicit ShareLossPlan(const device::PlanRequest& request)
        : op_(std::get<ops::ShareLoss>(request.descriptor.op)),
          shape_(request.descriptor.inputs[0].shape),
          classes_(shape_.channels()) {
        MemoryLayout layout(nullptr);
        Scratch{layout, *this};
        requirements_.forward_workspace = requirements_.backward_workspace = layout.used();
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Numbers numbers(arguments.inputs);
        MemoryLayout layout(arguments.workspace);
        const Scratch scratch(layout, *this);
        for_samples([&](std::int64_t sample) {
            scratch.losses[sample] = op_.kind == ops::ShareLoss::Kind::dice
                                         ? overlap_loss(numbers, sample, scratch)
                                         : cross_entropy(numbers, sample);
        });
        auto* const output = arguments.outputs[0].as<double>();
        output[0] = output[1] = 0;
        for (std::int64_t sample = 0; sample < shape_.batch(); ++sample) output[0] += scratch.losses[sample];
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dp = optional<T>(arguments.input_gradients[0].view);
        if (!dp) return;
        const Numbers numbers(arguments.inputs);
        MemoryLayout layout(arguments.workspace);
        const Scratch scratch(layout, *this);
        for_samples([&](std::int64_t sample) {
            std::fill_n(reinterpret_cast<std::byte*>(dp + sample * pixels() * classes_),
                        static_cast<std::size_t>(pixels() * classes_) * sizeof(T), std::byte{0});
            if (op_.kind == ops::ShareLoss::Kind::dice) {
                overlap_slopes(numbers, sample, scratch, dp);
            } else {
                cross_entropy_slopes(numbers, sample, dp);
            }
        });
    }

  private:
    using Overlap = formulas::OverlapSums<double>;
    struct Numbers {
        explicit Numbers(std::span<const TensorView> inputs)
            : shares(inputs[0].as<T>()), targets(inputs[1].as<float>()), weights(inputs[2].as<float>()) {}
        const T* shares;
        const float* targets;
        const float* weights;
    };
    struct Scratch {
        Scratch(MemoryLayout& layout, const ShareLossPlan& plan)
            : losses(layout.take<double>(plan.shape_.batch())),
              sums(layout.take<Overlap>(plan.shape_.batch() * plan.classes_)) {}
        double* losses;
        Overlap* sums;
    };

    std::int64_t pixels() const { return shape_.height() * shape_.width(); }

    template <typename Body>
    void for_samples(const Body& body) const {
        parallel_blocks(shape_.batch(), shape_.elements() * 8, body);
    }
    /// visit(first element, targets, weight) for the pixels of a sample that take part.
    template <typename Visit>
    void each_pixel(const Numbers& numbers, std::int64_t sample, const Visit& visit) const {
        for (std::int64_t pixel = sample * pixels(); pixel < (sample + 1) * pixels(); ++pixel) {
            const float* const truth = numbers.targets + pixel * classes_;
            if (!formulas::takes_part(truth, classes_, op_.void_pixels)) continue;
            visit(pixel * classes_, truth,
                  formulas::pixel_weight(truth, numbers.weights, classes_, op_.void_pixels));
        }
    }

    double cross_entropy(const Numbers& numbers, std::int64_t sample) const {
        double loss = 0;
        each_pixel(numbers, sample, [&](std::int64_t first, const float* truth, float weight) {
            const float share = load(numbers.shares + first + formulas::target_class(truth, classes_));
            loss -= static_cast<double>(weight * std::log(share));
        });
        return loss;
    }
    void cross_entropy_slopes(const Numbers& numbers, std::int64_t sample, T* dp) const {
        const auto scale = static_cast<float>(op_.loss_weight);
        each_pixel(numbers, sample, [&](std::int64_t first, const float* truth, float weight) {
            const std::int64_t place = first + formulas::target_class(truth, classes_);
            store(dp + place, -scale * weight / load(numbers.shares + place));
        });
    }

    /// Fills the sample's sums; returns the sum of its weights.
    double sum_overlaps(const Numbers& numbers, std::int64_t sample, Overlap* sums) const {
        std::fill_n(sums, classes_, Overlap{});
        double weights = 0;
        each_pixel(numbers, sample, [&](std::int64_t first, const float* truth, float weight) {
            weights += static_cast<double>(weight);
            for (std::int64_t c = 0; c < classes_; ++c) {
                const auto share = static_cast<double>(load(numbers.shares + first + c));
                const auto target = static_cast<double>(truth[c]);
                sums[c].both += share * target;
                sums[c].either += share + target;
            }
        });
        return weights;
    }
    double overlap_loss(const Numbers& numbers, std::int64_t sample, const Scratch& scratch) const {
        Overlap* const sums = scratch.sums + sample * classes_;
        const double weight = sum_overlaps(numbers, sample, sums);
        double scores = 0;
        for (std::int64_t c = 0; c < classes_; ++c) scores += formulas::dice_score(sums[c], op_.smooth);
        return weight * (1 - scores / static_cast<double>(classes_));
    }
    void overlap_slopes(const Numbers& numbers, std::int64_t sample, const Scratch& scratch, T* dp) const {
        Overlap* const sums = scratch.sums + sample * classes_;
        const double weight = sum_overlaps(numbers, sample, sums);
        const double scale = -op_.loss_weight * weight / static_cast<double>(classes_);
        each_pixel(numbers, sample, [&](std::int64_t first, const float* truth, float) {
            for (std::int64_t c = 0; c < classes_; ++c) {
                const double slope = formulas::dice_slope(sums[c], static_cast<double>(truth[c]), op_.smooth);
                store(dp + first + c, static_cast<float>(scale * slope));
            }
        });
    }

    ops::ShareLoss op_;
    Shape shape_;
    std::int64_t classes_;
};

}  // namespace

Offer make_share_loss(const device::PlanRequest& request) {
    return offer_by_type<ShareLossPlan>(request);
}

}  // namespace terrane::cpu
