#include <array>
#include <bit>

#include "cpu/class_maps.hpp"
#include "cpu/kept_gradient_plan.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"

namespace terrane::cpu {
namespace {

/// An error and its place, packed so that ascending keys are descending errors, ties in the order of places.
std::uint64_t key_of(float error, std::uint64_t place) {
    // Errors lie in [0, 1], where the bits of floats are ordered as their values and are below 2^30.
    constexpr std::uint64_t top = std::bit_cast<std::uint32_t>(1.0f);
    const std::uint64_t bits = std::bit_cast<std::uint32_t>(std::clamp(error, 0.0f, 1.0f));
    return (top - bits) << 32 | place;
}
std::uint64_t place_of(std::uint64_t key) {
    return key & 0xffffffffu;
}

/// Sorts by the upper half, keeping the order of equals: three passes of ten bits. The result is in `room`.
void sort_keys(std::uint64_t* keys, std::uint64_t* room, std::int64_t count) {
    for (int shift = 32; shift < 62; shift += 10) {
        std::array<std::int64_t, 1025> begin{};
        for (std::int64_t i = 0; i < count; ++i) ++begin[(keys[i] >> shift & 1023u) + 1];
        for (std::size_t digit = 1; digit < begin.size(); ++digit) begin[digit] += begin[digit - 1];
        for (std::int64_t i = 0; i < count; ++i) room[begin[keys[i] >> shift & 1023u]++] = keys[i];
        std::swap(keys, room);
    }
}

/// Writes the errors |[t = c] - p_c| of one row into a map.
struct ErrorRow {
    const std::uint8_t* labels;
    float* errors;

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        soften(row);
        for (std::int64_t c = 0; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
            float* const error = errors + ((row.sample * row.classes + c) * height + row.y) * row.width;
#pragma omp simd
            for (std::int64_t x = 0; x < row.width; ++x)
                error[x] = label[x] == c ? 1.0f - plane[x] : plane[x];
        }
    }
};

/// Exchange: the sum of weights, and the number of scores (images, or ranks, with a valid pixel). Known from
/// the labels alone, so that everything else, gradients included, is done once, after the exchange.
template <typename T>
class LovaszPlan final : public KeptGradientPlan {
  public:
    explicit LovaszPlan(const device::PlanRequest& request)
        : KeptGradientPlan(request),
          op_(std::get<ops::Lovasz>(request.descriptor.op)),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners, gradient_),
          classes_(rows_.classes()),
          batch_(request.descriptor.inputs[0].shape.batch()),
          groups_(op_.over == ops::ScoreOver::image ? batch_ : 1),
          image_pixels_(rows_.height() * rows_.width()),
          group_pixels_(batch_ * image_pixels_ / groups_) {
        MemoryLayout workspace(nullptr);
        Workspace{workspace, *this};
        requirements_.forward_workspace = workspace.used();
        requirements_.forward_exchange = 2;
    }

    void forward(const device::ForwardArguments& arguments) override {
        TERRANE_ASSERT(arguments.phase != device::Phase::whole, "Lovász-softmax exchanges its weights");
        const std::uint8_t* const labels = arguments.inputs[1].as<std::uint8_t>();
        double* const output = arguments.outputs[0].as<double>();
        if (arguments.phase == device::Phase::before_exchange) {
            count(labels, arguments.inputs[2].as<float>(), arguments.exchange);
            arguments.exchange[0] = own_denominator(op_, arguments.inputs[1], arguments.exchange[0]);
            output[1] = arguments.exchange[0];
            return;
        }
        MemoryLayout memory(arguments.workspace);
        const Workspace workspace(memory, *this);
        const ErrorRow errors{labels, workspace.map};
        rows_.visit(arguments.inputs[0].as<T>(), workspace.scratch,
                    [&](const ClassRow& one) { errors(one, rows_.height()); });
        count_truths(labels, workspace.truths);
        const double share = arguments.exchange[1] > 0 ? arguments.exchange[0] / arguments.exchange[1] : 0;
        for_each_plane(groups_ * classes_, 64 * batch_ * classes_ * image_pixels_,
                       [&](std::int64_t own, std::int64_t plane) {
                           workspace.losses[plane] = score(labels, workspace, own, plane, share);
                       });
        add_blocks(workspace.losses, groups_ * classes_, 1, output);
        if (gradient_ == RowGradient::no) return;
        const MapSlopes slopes{workspace.map};
        rows_.visit_with_gradient(arguments.inputs[0].as<T>(), reinterpret_cast<T*>(arguments.saved),
                                  workspace.scratch,
                                  [&](const ClassRow& one) { slopes(one, rows_.height()); });
    }

  private:
    struct Workspace {
        float* map;  ///< [N, K, H, W]: errors, then slopes
        float* scratch;
        double* losses;        ///< per score and class
        std::int64_t* truths;  ///< per score: pixels of each class, then the number of classes that have any
        std::uint64_t* keys;   ///< two per pixel of a score, for each memory

        Workspace(MemoryLayout& memory, const LovaszPlan& plan)
            : map(memory.take<float>(plan.batch_ * plan.classes_ * plan.image_pixels_)),
              scratch(memory.take<float>(plan.rows_.scratch())),
              losses(memory.take<double>(plan.groups_ * plan.classes_)),
              truths(memory.take<std::int64_t>(plan.groups_ * (plan.classes_ + 1))),
              keys(memory.take<std::uint64_t>(std::min(plan.groups_ * plan.classes_, most_planes) * 2 *
                                              plan.group_pixels_)) {}
    };

    void count(const std::uint8_t* labels, const float* weights, double* exchange) const {
        exchange[0] = exchange[1] = 0;
        for (std::int64_t group = 0; group < groups_; ++group) {
            bool any = false;
            for (std::int64_t i = group * group_pixels_; i < (group + 1) * group_pixels_; ++i) {
                if (!formulas::is_valid_label(labels[i], classes_)) continue;
                any = true;
                exchange[0] += static_cast<double>(weights[labels[i]]);
            }
            exchange[1] += any ? 1 : 0;
        }
    }

    void count_truths(const std::uint8_t* labels, std::int64_t* truths) const {
        std::fill_n(truths, groups_ * (classes_ + 1), std::int64_t{0});
        for (std::int64_t group = 0; group < groups_; ++group) {
            std::int64_t* const mine = truths + group * (classes_ + 1);
            for (std::int64_t i = group * group_pixels_; i < (group + 1) * group_pixels_; ++i) {
                if (formulas::is_valid_label(labels[i], classes_)) ++mine[labels[i]];
            }
            mine[classes_] =
                std::count_if(mine, mine + classes_, [](std::int64_t pixels) { return pixels > 0; });
        }
    }

    /// One class of one score: its part of W times the loss; its errors in the map become slopes.
    double score(const std::uint8_t* all_labels, const Workspace& workspace, std::int64_t own,
                 std::int64_t plane, double share) const {
        const std::int64_t group = plane / classes_, c = plane % classes_;
        const std::int64_t* const truths = workspace.truths + group * (classes_ + 1);
        const std::uint8_t* const labels = all_labels + group * group_pixels_;
        const std::int64_t first_image = group * (batch_ / groups_);
        const auto at = [&](std::int64_t pixel) -> float& {
            const std::int64_t image = first_image + pixel / image_pixels_;
            return workspace.map[(image * classes_ + c) * image_pixels_ + pixel % image_pixels_];
        };
        std::uint64_t* const keys = workspace.keys + own * 2 * group_pixels_;
        std::int64_t valid = 0;
        if (truths[c] > 0) {
            for (std::int64_t i = 0; i < group_pixels_; ++i) {
                if (formulas::is_valid_label(labels[i], classes_))
                    keys[valid++] = key_of(at(i), static_cast<std::uint64_t>(i));
            }
            sort_keys(keys, keys + group_pixels_, valid);
        }
        const std::uint64_t* const sorted = keys + group_pixels_;
        const double factor = truths[classes_] > 0 ? share / static_cast<double>(truths[classes_]) : 0;
        if (valid < group_pixels_) {
            for (std::int64_t i = 0; i < group_pixels_; ++i) {
                if (truths[c] == 0 || !formulas::is_valid_label(labels[i], classes_)) at(i) = 0;
            }
        }
        formulas::LovaszSweep sweep(static_cast<double>(truths[c]));
        double loss = 0;
        for (std::int64_t i = 0; i < valid; ++i) {
            const auto place = static_cast<std::int64_t>(place_of(sorted[i]));
            const bool truth = labels[place] == c;
            const double growth = sweep.next(truth);
            loss += growth * static_cast<double>(at(place));
            at(place) = static_cast<float>(op_.loss_weight * factor * (truth ? -growth : growth));
        }
        return factor * loss;
    }

    ops::Lovasz op_;
    ClassRows rows_;
    std::int64_t classes_, batch_;
    std::int64_t groups_;  ///< scores of this rank: images, or 1
    std::int64_t image_pixels_, group_pixels_;
};

}  // namespace

Offer make_lovasz(const device::PlanRequest& request) {
    return offer_by_type<LovaszPlan>(request);
}

}  // namespace terrane::cpu
