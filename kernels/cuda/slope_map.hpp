#pragma once

#include "cuda/class_plan.hpp"

namespace terrane::cuda {

/// Slopes of a loss by each class's probability at each label pixel, kept from forward to backward.
struct SlopeMap {
    const float* map;  ///< [label pixels, classes]
    std::int64_t classes;

    TERRANE_HOST_DEVICE float prepare(const float* logits,
                                      const formulas::SoftmaxNormaliser<float>& normaliser, std::int64_t,
                                      std::int64_t place) const {
        return mean_slope(logits, normaliser, classes,
                          [&](std::int64_t c) { return map[place * classes + c]; });
    }
    TERRANE_HOST_DEVICE float slope(const PixelTerms& terms, float logit, std::int64_t, std::int64_t place,
                                    std::int64_t c) const {
        return formulas::softmax_slope(terms.normaliser.probability(logit), map[place * classes + c],
                                       terms.own);
    }
};

struct FillZero {
    float* values;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const { values[i] = 0; }
};

/// What Lovász-softmax and the boundary loss share: the map, and the backward pass from it.
template <typename T, typename Op>
class SlopeMapPlan : public ClassPlan<T, Op> {
  public:
    SlopeMapPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : ClassPlan<T, Op>(op, request, queue), elements_(this->pixels_ * this->classes_) {
        if (this->trains()) this->requirements_.saved = static_cast<std::size_t>(elements_) * sizeof(float);
    }
    void backward(const device::BackwardArguments& arguments) override {
        this->gather(arguments, SlopeMap{reinterpret_cast<const float*>(arguments.saved), this->classes_});
    }

  protected:
    std::int64_t elements_;
};

}  // namespace terrane::cuda
