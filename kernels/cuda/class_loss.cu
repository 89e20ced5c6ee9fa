// The losses that are sums over pixels, and the class maps of inference.
#include "cuda/class_plan.hpp"

namespace terrane::cuda {

namespace {

struct CrossEntropy {
    const float* weights;
    std::int64_t classes;
    formulas::CrossEntropyTerms<float> shares;  ///< without the sum of weights
    float loss_weight;

    /// Of the classes' weights, where it matters.
    TERRANE_HOST_DEVICE float weight_sum() const {
        double sum = 0;
        for (std::int64_t c = 0; shares.class_share > 0 && c < classes; ++c)
            sum += static_cast<double>(weights[c]);
        return static_cast<float>(sum);
    }
    TERRANE_HOST_DEVICE float weight(std::int64_t label) const { return weights[label]; }
    TERRANE_HOST_DEVICE float loss(const float* logits, const formulas::SoftmaxNormaliser<float>& normaliser,
                                   std::int64_t label) const {
        return formulas::cross_entropy_loss(logits, classes, label, weights, shares, normaliser);
    }
    TERRANE_HOST_DEVICE float prepare(const float*, const formulas::SoftmaxNormaliser<float>&, std::int64_t,
                                      std::int64_t) const {
        return weight_sum();
    }
    TERRANE_HOST_DEVICE float slope(const PixelTerms& pixel, float logit, std::int64_t label, std::int64_t,
                                    std::int64_t c) const {
        const formulas::CrossEntropyTerms<float> terms{shares.target_share, shares.class_share, pixel.own};
        return loss_weight * formulas::cross_entropy_slope(logit, c, label, weights, terms, pixel.normaliser);
    }
};

struct FocalLoss {
    const float* weights;
    std::int64_t classes;
    float gamma, loss_weight;

    TERRANE_HOST_DEVICE formulas::FocalPixel<float> pixel(
        float logit, const formulas::SoftmaxNormaliser<float>& normaliser) const {
        const float p = normaliser.probability(logit), rest = formulas::focal_rest(p);
        return formulas::focal_pixel(normaliser.log_probability(logit), p, rest, std::pow(rest, gamma),
                                     gamma);
    }
    TERRANE_HOST_DEVICE float weight(std::int64_t label) const { return weights[label]; }
    TERRANE_HOST_DEVICE float loss(const float* logits, const formulas::SoftmaxNormaliser<float>& normaliser,
                                   std::int64_t label) const {
        return weights[label] * pixel(logits[label], normaliser).loss;
    }
    TERRANE_HOST_DEVICE float prepare(const float* logits,
                                      const formulas::SoftmaxNormaliser<float>& normaliser,
                                      std::int64_t label, std::int64_t) const {
        return loss_weight * weights[label] * pixel(logits[label], normaliser).pull;
    }
    TERRANE_HOST_DEVICE float slope(const PixelTerms& terms, float logit, std::int64_t label, std::int64_t,
                                    std::int64_t c) const {
        return terms.own * (terms.normaliser.probability(logit) - (c == label ? 1.0f : 0.0f));
    }
};

/// Labels are distances.
struct EntropyLoss {
    std::int64_t classes;
    float loss_weight;

    TERRANE_HOST_DEVICE static float nearness(std::int64_t distance) {
        return static_cast<float>(distance) / 255.0f;
    }
    TERRANE_HOST_DEVICE float weight(std::int64_t) const { return 1; }
    TERRANE_HOST_DEVICE float entropy(const float* logits,
                                      const formulas::SoftmaxNormaliser<float>& normaliser) const {
        float sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) {
            sum -= normaliser.probability(logits[c]) * normaliser.log_probability(logits[c]);
        }
        return sum;
    }
    TERRANE_HOST_DEVICE float loss(const float* logits, const formulas::SoftmaxNormaliser<float>& normaliser,
                                   std::int64_t distance) const {
        return nearness(distance) * entropy(logits, normaliser);
    }
    TERRANE_HOST_DEVICE float prepare(const float* logits,
                                      const formulas::SoftmaxNormaliser<float>& normaliser, std::int64_t,
                                      std::int64_t) const {
        return entropy(logits, normaliser);
    }
    TERRANE_HOST_DEVICE float slope(const PixelTerms& terms, float logit, std::int64_t distance, std::int64_t,
                                    std::int64_t) const {
        const float log_p = terms.normaliser.log_probability(logit);
        return -loss_weight * nearness(distance) * std::exp(log_p) * (log_p + terms.own);
    }
};

/// few: at most class_chunk classes.
template <typename T, typename Loss, bool few>
struct LossSums {
    static constexpr int sums = 2;
    ClassMaps<T> maps;
    Loss loss;
    LossTotals totals;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t place, double (&own)[2]) const {
        if (!maps.is_valid(place)) return;
        if constexpr (few) {
            float logits[class_chunk];
            read_few(maps, maps.taps(place), logits);
            add_pixel(logits, formulas::softmax_normaliser(logits, class_chunk), maps.label(place), own);
        } else {
            float logits[most_classes];
            maps.read(place, logits);
            add_pixel(logits, formulas::softmax_normaliser(logits, maps.classes), maps.label(place), own);
        }
    }
    TERRANE_HOST_DEVICE void add_pixel(const float* logits,
                                       const formulas::SoftmaxNormaliser<float>& normaliser,
                                       std::int64_t label, double (&own)[2]) const {
        own[0] += static_cast<double>(loss.loss(logits, normaliser, label));
        own[1] += static_cast<double>(loss.weight(label));
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[2]) const {
        totals.put(total[0], total[1]);
    }
};

/// Cross-entropy, focal loss and distance entropy: only their pixels differ.
template <typename T, typename Op>
class PixelLossPlan final : public ClassPlan<T, Op> {
  public:
    PixelLossPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : ClassPlan<T, Op>(op, request, queue) {
        this->requirements_.forward_workspace = this->sums_.bytes(2);
        this->reserve_share();
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (this->takes_share(arguments)) return;
        if (this->classes_ <= class_chunk) {
            add_up<true>(arguments, pixel_loss(this->op_, arguments.inputs));
        } else {
            add_up<false>(arguments, pixel_loss(this->op_, arguments.inputs));
        }
    }
    void backward(const device::BackwardArguments& arguments) override {
        this->gather(arguments, pixel_loss(this->op_, arguments.inputs));
    }

  private:
    using Inputs = std::span<const TensorView>;
    template <bool few, typename Loss>
    void add_up(const device::ForwardArguments& arguments, const Loss& loss) const {
        launch_sums(this->queue_, this->sums_, reinterpret_cast<double*>(arguments.workspace),
                    LossSums<T, Loss, few>{this->maps(arguments.inputs), loss, this->totals(arguments)});
    }
    auto pixel_loss(const ops::CrossEntropy& op, Inputs inputs) const {
        return CrossEntropy{inputs[2].as<float>(), this->classes_,
                            formulas::cross_entropy_terms<float>(op.label_smoothing, 0, this->classes_),
                            static_cast<float>(op.loss_weight)};
    }
    auto pixel_loss(const ops::Focal& op, Inputs inputs) const {
        return FocalLoss{inputs[2].as<float>(), this->classes_, static_cast<float>(op.gamma),
                         static_cast<float>(op.loss_weight)};
    }
    auto pixel_loss(const ops::DistanceEntropy& op, Inputs) const {
        return EntropyLoss{this->classes_, static_cast<float>(op.loss_weight)};
    }
};

template <typename T>
using CrossEntropyPlan = PixelLossPlan<T, ops::CrossEntropy>;
template <typename T>
using FocalPlan = PixelLossPlan<T, ops::Focal>;
template <typename T>
using DistanceEntropyPlan = PixelLossPlan<T, ops::DistanceEntropy>;

/// Most classes whose confusion matrix a team counts in its own memory.
constexpr std::int64_t most_shared_classes = 32;

/// Confusion counts are whole numbers, so they may be added up in any order.
template <typename T>
struct ClassifyChunk {
    static constexpr int threads = block_threads;
    static constexpr std::int64_t chunk = 16 * block_threads;
    struct Shared {
        std::uint32_t counts[most_shared_classes * most_shared_classes];
    };
    ClassMaps<T> maps;
    std::int64_t* confusion;
    std::uint8_t* predicted;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const std::int64_t classes = maps.classes, begin = index * chunk;
        const std::int64_t end = begin + chunk < maps.pixels() ? begin + chunk : maps.pixels();
        const bool shares = classes <= most_shared_classes;
        team.each([&](int thread) {
            for (std::int64_t i = thread; shares && i < classes * classes; i += threads)
                team.shared.counts[i] = 0;
        });
        team.each([&](int thread) {
            for (std::int64_t place = begin + thread; place < end; place += threads) {
                float logits[most_classes];
                maps.read(place, logits);
                const std::int64_t best = formulas::most_probable(logits, classes);
                predicted[place] = static_cast<std::uint8_t>(best);
                if (!maps.is_valid(place)) continue;
                const std::int64_t cell = maps.label(place) * classes + best;
                if (shares) {
                    count_up(&team.shared.counts[cell]);
                } else {
                    count_up(confusion + cell, 1);
                }
            }
        });
        team.each([&](int thread) {
            for (std::int64_t i = thread; shares && i < classes * classes; i += threads) {
                if (team.shared.counts[i] > 0) count_up(confusion + i, team.shared.counts[i]);
            }
        });
    }
};

template <typename T>
class ClassifyPlan final : public KernelPlan<ops::Classify> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        ClassMaps<T> maps(input_shape(0), output_shape()[1], output_shape()[2], op_.corners);
        maps.logits = arguments.inputs[0].as<T>();
        maps.labels = arguments.inputs[1].as<std::uint8_t>();
        const std::int64_t chunks = (maps.pixels() + ClassifyChunk<T>::chunk - 1) / ClassifyChunk<T>::chunk;
        launch_teams(queue_, chunks,
                     ClassifyChunk<T>{maps, arguments.inputs[2].as<std::int64_t>(),
                                      arguments.outputs[0].as<std::uint8_t>()});
    }
};

template <typename T>
struct SoftmaxPixel {
    ClassMaps<T> maps;
    float* probabilities;

    TERRANE_HOST_DEVICE void operator()(std::int64_t place) const {
        float logits[most_classes];
        maps.read(place, logits);
        const auto normaliser = formulas::softmax_normaliser(logits, maps.classes);
        for (std::int64_t c = 0; c < maps.classes; ++c) {
            probabilities[place * maps.classes + c] = normaliser.probability(logits[c]);
        }
    }
};

template <typename T>
class SoftmaxPlan final : public KernelPlan<ops::Softmax> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        ClassMaps<T> maps(input_shape(0), op_.height, op_.width, op_.corners);
        maps.logits = arguments.inputs[0].as<T>();
        launch(queue_, maps.pixels(), SoftmaxPixel<T>{maps, arguments.outputs[0].as<float>()});
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::CrossEntropy& op, const device::PlanRequest& request,
                                             Queue queue) {
    return has_class_kernels(request) ? make_typed<CrossEntropyPlan>(op, request, queue) : nullptr;
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Focal& op, const device::PlanRequest& request,
                                             Queue queue) {
    return has_class_kernels(request) ? make_typed<FocalPlan>(op, request, queue) : nullptr;
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::DistanceEntropy& op,
                                             const device::PlanRequest& request, Queue queue) {
    return has_class_kernels(request) ? make_typed<DistanceEntropyPlan>(op, request, queue) : nullptr;
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Classify& op, const device::PlanRequest& request,
                                             Queue queue) {
    return has_class_kernels(request) ? make_typed<ClassifyPlan>(op, request, queue) : nullptr;
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Softmax& op, const device::PlanRequest& request,
                                             Queue queue) {
    return has_class_kernels(request.descriptor.inputs[0].shape, op.height, op.width)
               ? make_typed<SoftmaxPlan>(op, request, queue)
               : nullptr;
}

}  // namespace terrane::cuda
