#include "base/distance_transform.hpp"
#include "ref/class_loss.hpp"

/// The losses whose slopes by the probabilities form a map of their own: Lovász-softmax and boundary.
namespace terrane::ref {

namespace {

/// Keeps the slopes of loss_weight times the loss by each class's probability, [N, H, W, K], from forward to
/// backward.
template <typename T, typename Op>
class SlopeMapPlan : public ClassLossPlan<T, Op> {
  public:
    SlopeMapPlan(const Op& op, const device::PlanRequest& request)
        : ClassLossPlan<T, Op>(op, request),
          pixels_(this->height_ * this->width_),
          elements_(this->logits_.batch() * pixels_ * this->classes_) {
        this->requirements_.backward_workspace = bytes_of_doubles(2 * this->classes_);
        if (this->trains()) this->requirements_.saved = bytes_of_doubles(elements_);
    }

    void backward(const device::BackwardArguments& arguments) override {
        struct Prepared {
            SoftmaxSlopes slopes;
            const double* map;
        };
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t, std::int64_t place) {
                const double* map = doubles(arguments.saved) + place * this->classes_;
                return Prepared{SoftmaxSlopes(logits, this->classes_, [&](std::int64_t c) { return map[c]; }),
                                map};
            },
            [](const Prepared& prepared, double logit, std::int64_t, std::int64_t c) {
                return prepared.slopes.by_logit(logit, prepared.map[c]);
            });
    }

  protected:
    /// Calls visit(place in the label map, label, probabilities) for every valid pixel; `room` holds 2 K
    /// doubles.
    template <typename Visit>
    void for_each_probability(const device::ForwardArguments& arguments, double* room, Visit visit) const {
        const Upsampled<T> upsampled = this->upsampled(arguments.inputs[0]);
        double* probabilities = room + this->classes_;
        this->for_each_valid(arguments.inputs[1], [&](std::int64_t n, std::int64_t row, std::int64_t column,
                                                      std::int64_t label) {
            upsampled.values(n, row, column, room);
            const auto normaliser = formulas::softmax_normaliser(room, this->classes_);
            for (std::int64_t c = 0; c < this->classes_; ++c) {
                probabilities[c] = normaliser.probability(room[c]);
            }
            visit((n * this->height_ + row) * this->width_ + column, label, probabilities);
        });
    }

    std::int64_t pixels_;    ///< of a label map
    std::int64_t elements_;  ///< of all slopes
};

/// Exchange: the sum of weights, and the number of scores (images, or ranks, with a valid pixel).
template <typename T>
class LovaszPlan final : public SlopeMapPlan<T, ops::Lovasz> {
    using Base = SlopeMapPlan<T, ops::Lovasz>;
    using Base::classes_;
    using Base::op_;

  public:
    LovaszPlan(const ops::Lovasz& op, const device::PlanRequest& request)
        : Base(op, request),
          by_image_(op.over == ops::ScoreOver::image),
          groups_(by_image_ ? this->logits_.batch() : 1),
          group_pixels_(this->logits_.batch() * this->pixels_ / groups_) {
        this->requirements_.forward_exchange = 2;
        this->requirements_.forward_workspace =
            bytes_of_doubles(2 * classes_ + this->elements_ + group_pixels_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        TERRANE_ASSERT(arguments.phase != device::Phase::whole, "Lovász-softmax exchanges its weights");
        const auto* labels = arguments.inputs[1].template as<std::uint8_t>();
        double* output = arguments.outputs[0].as<double>();
        if (arguments.phase == device::Phase::before_exchange) {
            const AnyReader weights(arguments.inputs[2]);
            arguments.exchange[0] = arguments.exchange[1] = 0;
            for (std::int64_t group = 0; group < groups_; ++group) {
                bool any = false;
                for (std::int64_t i = group * group_pixels_; i < (group + 1) * group_pixels_; ++i) {
                    if (!formulas::is_valid_label(labels[i], classes_)) continue;
                    any = true;
                    arguments.exchange[0] += weights[labels[i]];
                }
                arguments.exchange[1] += any ? 1 : 0;
            }
            arguments.exchange[0] = this->own_denominator(arguments.inputs[1], arguments.exchange[0]);
            output[1] = arguments.exchange[0];
            return;
        }
        double* room = doubles(arguments.workspace);
        double* errors = room + 2 * classes_;
        auto* order = reinterpret_cast<std::int64_t*>(errors + this->elements_);
        this->for_each_probability(
            arguments, room, [&](std::int64_t place, std::int64_t label, const double* probabilities) {
                for (std::int64_t c = 0; c < classes_; ++c) {
                    errors[place * classes_ + c] = c == label ? 1 - probabilities[c] : probabilities[c];
                }
            });
        if (this->trains()) std::fill_n(doubles(arguments.saved), this->elements_, 0.0);
        output[0] = 0;
        for (std::int64_t group = 0; group < groups_; ++group) {
            output[0] += score(arguments, labels, errors, order, group);
        }
    }

  private:
    /// One image's (or the batch's) part of W times the loss; leaves its slopes.
    double score(const device::ForwardArguments& arguments, const std::uint8_t* labels, const double* errors,
                 std::int64_t* order, std::int64_t group) const {
        const std::int64_t begin = group * group_pixels_, end = begin + group_pixels_;
        const auto truths = [&](std::int64_t c) { return std::count(labels + begin, labels + end, c); };
        double present = 0;
        for (std::int64_t c = 0; c < classes_; ++c) present += truths(c) > 0 ? 1 : 0;
        if (present == 0) return 0;
        const double factor = arguments.exchange[0] / (arguments.exchange[1] * present);
        double loss = 0;
        for (std::int64_t c = 0; c < classes_; ++c) {
            if (truths(c) == 0) continue;
            std::int64_t valid = 0;
            for (std::int64_t i = begin; i < end; ++i) {
                if (formulas::is_valid_label(labels[i], classes_)) order[valid++] = i;
            }
            std::sort(order, order + valid, [&](std::int64_t a, std::int64_t b) {
                const double first = errors[a * classes_ + c], second = errors[b * classes_ + c];
                return first > second || (first == second && a < b);
            });
            formulas::LovaszSweep sweep(static_cast<double>(truths(c)));
            for (std::int64_t i = 0; i < valid; ++i) {
                const bool truth = labels[order[i]] == c;
                const double growth = sweep.next(truth);
                loss += growth * errors[order[i] * classes_ + c];
                if (this->trains()) {
                    doubles(arguments.saved)[order[i] * classes_ + c] =
                        op_.loss_weight * factor * (truth ? -growth : growth);
                }
            }
        }
        return factor * loss;
    }

    bool by_image_;
    std::int64_t groups_;        ///< scores of this rank
    std::int64_t group_pixels_;  ///< label pixels of one
};

template <typename T>
class BoundaryPlan final : public SlopeMapPlan<T, ops::Boundary> {
    using Base = SlopeMapPlan<T, ops::Boundary>;
    using Base::classes_;
    using Base::op_;

  public:
    BoundaryPlan(const ops::Boundary& op, const device::PlanRequest& request) : Base(op, request) {
        this->requirements_.forward_workspace = bytes_of_doubles(2 * classes_ + this->elements_);
        this->reserve_share();
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (this->takes_share(arguments)) {
            const double share = formulas::share_of_samples(arguments.exchange[0], arguments.exchange[1]);
            for (std::int64_t i = 0; this->trains() && i < this->elements_; ++i) {
                doubles(arguments.saved)[i] *= share;
            }
            return;
        }
        const AnyReader weights(arguments.inputs[2]);
        double* room = doubles(arguments.workspace);
        double* distances = room + 2 * classes_;
        fill_distances(arguments.inputs[1], distances);
        if (this->trains()) std::fill_n(doubles(arguments.saved), this->elements_, 0.0);
        double loss = 0, weight = 0;
        this->for_each_probability(
            arguments, room, [&](std::int64_t place, std::int64_t label, const double* probabilities) {
                weight += weights[label];
                for (std::int64_t c = 0; c < classes_; ++c) {
                    const double slope = weights[label] * distances[place * classes_ + c];
                    loss += slope * probabilities[c];
                    if (this->trains())
                        doubles(arguments.saved)[place * classes_ + c] = op_.loss_weight * slope;
                }
            });
        this->put_totals(arguments, loss, weight);
    }

  private:
    void fill_distances(const TensorView& labels, double* distances) const {
        const auto* values = labels.as<std::uint8_t>();
        std::vector<std::uint8_t> region(static_cast<std::size_t>(this->pixels_)), outside(region);
        for (std::int64_t n = 0; n < this->logits_.batch(); ++n) {
            for (std::int64_t c = 0; c < classes_; ++c) {
                for (std::size_t i = 0; i < region.size(); ++i) {
                    region[i] = values[n * this->pixels_ + static_cast<std::int64_t>(i)] == c ? 1 : 0;
                    outside[i] = 1 - region[i];
                }
                const auto to_region = squared_distances(region, this->height_, this->width_);
                const auto to_outside = squared_distances(outside, this->height_, this->width_);
                const bool bounded = to_region[0] != no_distance && to_outside[0] != no_distance;
                for (std::size_t i = 0; i < region.size(); ++i) {
                    const auto place = n * this->pixels_ + static_cast<std::int64_t>(i);
                    distances[place * classes_ + c] =
                        bounded ? formulas::signed_distance(to_region[i], to_outside[i]) : 0.0;
                }
            }
        }
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Lovasz& op, const device::PlanRequest& request) {
    return make_typed<LovaszPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Boundary& op, const device::PlanRequest& request) {
    return make_typed<BoundaryPlan>(op, request);
}

}  // namespace terrane::ref
