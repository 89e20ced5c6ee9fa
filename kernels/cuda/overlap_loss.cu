// Dice and Tversky: sums per class, then one score per class of the batch or of each image.
#include "cuda/class_plan.hpp"

namespace terrane::cuda {

namespace {

/// Only the softmax of each pixel is wanted.
struct NoTerms {
    TERRANE_HOST_DEVICE float prepare(const float*, const formulas::SoftmaxNormaliser<float>&, std::int64_t,
                                      std::int64_t) const {
        return 0;
    }
};

/// Group: one class of one score. Intersection, sum of probabilities, number of labels go to places `classes`
/// apart.
template <typename T>
struct OverlapSums {
    static constexpr int sums = 3;
    ClassMaps<T> maps;
    const PixelTerms* terms;
    std::int64_t score_pixels;
    double* targets;  ///< [scores, 3, classes]

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[3]) const {
        const std::int64_t c = group % maps.classes, place = group / maps.classes * score_pixels + item;
        if (!maps.is_valid(place)) return;
        const double p =
            static_cast<double>(terms[place].normaliser.probability(maps.logit(maps.taps(place), c)));
        own[1] += p;
        if (maps.label(place) != c) return;
        own[0] += p;
        own[2] += 1;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[3]) const {
        const std::int64_t c = group % maps.classes;
        double* own = targets + group / maps.classes * 3 * maps.classes;
        for (int i = 0; i < 3; ++i) own[i * maps.classes + c] = total[i];
    }
};

/// One score's part of W times the loss; leaves its slopes.
struct FinishScore {
    const double* sums;  ///< [scores, 3, classes]
    const double* tail;  ///< sum of weights, number of images or ranks
    double* slopes;      ///< [scores, 2, classes] or null
    double* losses;      ///< [scores]
    formulas::OverlapScore score;
    std::int64_t classes;
    double loss_weight;
    bool by_image;

    TERRANE_HOST_DEVICE void operator()(std::int64_t index) const {
        const double* own = sums + index * 3 * classes;
        const double* truth = own + 2 * classes;
        double counted = 0, loss = 0;
        for (std::int64_t c = 0; c < classes; ++c) counted += by_image || truth[c] > 0 ? 1 : 0;
        // The batch's loss is the same on every rank, each adding its own pixels' part of the gradient.
        const double factor = counted > 0 ? loss_weight * tail[0] / (counted * (by_image ? tail[1] : 1)) : 0;
        for (std::int64_t c = 0; c < classes; ++c) {
            formulas::OverlapLoss one;
            if (by_image || truth[c] > 0)
                one = formulas::overlap_loss(own[c], own[classes + c], truth[c], score);
            loss += counted > 0 ? one.loss / counted : 0;
            if (slopes == nullptr) continue;
            slopes[index * 2 * classes + c] = factor * one.constant;
            slopes[(index * 2 + 1) * classes + c] = factor * one.on_target;
        }
        losses[index] = loss * tail[0] / tail[1];
    }
};

struct AddScores {
    const double* losses;
    std::int64_t scores;
    double* output;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const {
        double sum = 0;
        for (std::int64_t i = 0; i < scores; ++i) sum += losses[i];
        output[0] = sum;
    }
};

struct WriteNumber {
    double* target;
    double value;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const { *target = value; }
};

struct OverlapSlopes {
    const double* slopes;
    std::int64_t classes, score_pixels;

    TERRANE_HOST_DEVICE float by_probability(std::int64_t label, std::int64_t place, std::int64_t c) const {
        const double* own = slopes + place / score_pixels * 2 * classes;
        return static_cast<float>(own[c] + (c == label ? own[classes + c] : 0.0));
    }
    TERRANE_HOST_DEVICE float prepare(const float* logits,
                                      const formulas::SoftmaxNormaliser<float>& normaliser,
                                      std::int64_t label, std::int64_t place) const {
        return mean_slope(logits, normaliser, classes,
                          [&](std::int64_t c) { return by_probability(label, place, c); });
    }
    TERRANE_HOST_DEVICE float slope(const PixelTerms& terms, float logit, std::int64_t label,
                                    std::int64_t place, std::int64_t c) const {
        return formulas::softmax_slope(terms.normaliser.probability(logit), by_probability(label, place, c),
                                       terms.own);
    }
};

/// Exchange over the batch: per class the three sums, then the sum of weights and the number of ranks. Over
/// images: the sum of weights and the number of images.
template <typename T, typename Op>
class OverlapPlan final : public ClassPlan<T, Op> {
  public:
    OverlapPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : ClassPlan<T, Op>(op, request, queue),
          by_image_(op.over == ops::ScoreOver::image),
          scores_(by_image_ ? this->maps_.batch : 1),
          overlaps_(scores_ * this->classes_, this->pixels_ / scores_) {
        this->requirements_.forward_exchange = by_image_ ? 2 : 3 * this->classes_ + 2;
        this->requirements_.forward_workspace =
            carved<PixelTerms>(this->pixels_) + carved<double>(scores_ * 3 * this->classes_) +
            carved<double>(scores_) + std::max(overlaps_.bytes(3), this->sums_.bytes(1));
        if (this->trains()) {
            this->requirements_.saved =
                static_cast<std::size_t>(scores_ * 2 * this->classes_) * sizeof(double);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        auto* terms = workspace.take<PixelTerms>(this->pixels_);
        auto* image_sums = workspace.take<double>(scores_ * 3 * this->classes_);
        auto* losses = workspace.take<double>(scores_);
        auto* partials = workspace.take_doubles(0);
        auto* output = arguments.outputs[0].template as<double>();
        double* tail = arguments.exchange + (by_image_ ? 0 : 3 * this->classes_);
        if (arguments.phase == device::Phase::before_exchange) {
            if (!by_image_) add_up(arguments, terms, partials, arguments.exchange);
            launch_sums(this->queue_, this->sums_, partials,
                        WeightSum{arguments.inputs[1].template as<std::uint8_t>(),
                                  arguments.inputs[2].template as<float>(), this->classes_,
                                  this->denominator(), output + 1, tail});
            launch(this->queue_, 1, WriteNumber{tail + 1, by_image_ ? static_cast<double>(scores_) : 1.0});
            return;
        }
        if (by_image_) add_up(arguments, terms, partials, image_sums);
        launch(this->queue_, scores_,
               FinishScore{by_image_ ? image_sums : arguments.exchange, tail,
                           this->trains() ? reinterpret_cast<double*>(arguments.saved) : nullptr, losses,
                           formulas::overlap_score(this->op_), this->classes_, this->op_.loss_weight,
                           by_image_});
        launch(this->queue_, 1, AddScores{losses, scores_, output});
    }

    void backward(const device::BackwardArguments& arguments) override {
        this->gather(arguments, OverlapSlopes{reinterpret_cast<const double*>(arguments.saved),
                                              this->classes_, this->pixels_ / scores_});
    }

  private:
    void add_up(const device::ForwardArguments& arguments, PixelTerms* terms, double* partials,
                double* targets) const {
        const ClassMaps<T> own = this->maps(arguments.inputs);
        launch(this->queue_, this->pixels_, PreparePixel<T, NoTerms>{own, {}, terms});
        launch_sums(this->queue_, overlaps_, partials,
                    OverlapSums<T>{own, terms, this->pixels_ / scores_, targets});
    }

    bool by_image_;
    std::int64_t scores_;
    SumGeometry overlaps_;
};

template <typename T>
using DicePlan = OverlapPlan<T, ops::Dice>;
template <typename T>
using TverskyPlan = OverlapPlan<T, ops::Tversky>;

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Dice& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (!has_class_kernels(request)) return nullptr;
    return make_typed<DicePlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Tversky& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (!has_class_kernels(request)) return nullptr;
    return make_typed<TverskyPlan>(op, request, queue);
}

}  // namespace terrane::cuda
