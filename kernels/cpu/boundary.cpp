#include "base/distance_transform.hpp"
#include "cpu/class_maps.hpp"
#include "cpu/kept_gradient_plan.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"

namespace terrane::cpu {
namespace {

/// Loss of one row: probabilities times the map of weighted distances.
struct BoundaryRow {
    const std::uint8_t* labels;
    const float* class_weights;
    MapSlopes slopes;
    double* totals;  ///< per block {losses, weights}

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        soften(row);
        float loss = 0;
        for (std::int64_t c = 0; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
            const float* const slope = slopes.slopes(row, height, c);
            loss += lane_sum(row.width, [&](std::int64_t x) { return plane[x] * slope[x]; });
        }
        double weight = 0;
        for (std::int64_t x = 0; x < row.width; ++x) {
            if (formulas::is_valid_label(label[x], row.classes))
                weight += static_cast<double>(class_weights[label[x]]);
        }
        totals[2 * row.block] += static_cast<double>(loss);
        totals[2 * row.block + 1] += weight;
    }
};

template <typename T>
class BoundaryPlan final : public KeptGradientPlan {
  public:
    explicit BoundaryPlan(const device::PlanRequest& request)
        : KeptGradientPlan(request),
          op_(std::get<ops::Boundary>(request.descriptor.op)),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners, gradient_),
          classes_(rows_.classes()),
          batch_(request.descriptor.inputs[0].shape.batch()),
          pixels_(rows_.height() * rows_.width()) {
        MemoryLayout workspace(nullptr);
        Workspace{workspace, *this};
        requirements_.forward_workspace = workspace.used();
        if (shares()) requirements_.forward_exchange = 2;
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (arguments.phase == device::Phase::after_exchange) {
            take_share<T>(arguments, rows_.logits());
            return;
        }
        const std::uint8_t* const labels = arguments.inputs[1].as<std::uint8_t>();
        const float* const weights = arguments.inputs[2].as<float>();
        MemoryLayout memory(arguments.workspace);
        const Workspace workspace(memory, *this);
        for_each_plane(batch_ * classes_, 64 * batch_ * classes_ * pixels_,
                       [&](std::int64_t own, std::int64_t plane) {
                           fill_distances(labels, weights, workspace, own, plane);
                       });
        std::fill_n(workspace.totals, 2 * rows_.blocks(), 0.0);
        const MapSlopes slopes{workspace.map};
        const BoundaryRow row{labels, weights, slopes, workspace.totals};
        rows_.visit(arguments.inputs[0].as<T>(), workspace.scratch,
                    [&](const ClassRow& one) { row(one, rows_.height()); });
        double* const output = arguments.outputs[0].as<double>();
        add_blocks(workspace.totals, rows_.blocks(), 2, output);
        if (shares()) arguments.exchange[0] = output[1];
        output[1] = own_denominator(op_, arguments.inputs[1], output[1]);
        if (shares()) arguments.exchange[1] = output[1];
        if (gradient_ == RowGradient::no) return;
        const auto factor = static_cast<float>(op_.loss_weight);
        if (factor != 1.0f) {
            for (std::int64_t i = 0; i < batch_ * classes_ * pixels_; ++i) workspace.map[i] *= factor;
        }
        rows_.visit_with_gradient(arguments.inputs[0].as<T>(), reinterpret_cast<T*>(arguments.saved),
                                  workspace.scratch,
                                  [&](const ClassRow& one) { slopes(one, rows_.height()); });
    }

  private:
    struct Workspace {
        float* map;  ///< [N, K, H, W]
        float* scratch;
        double* totals;
        std::uint8_t* masks;      ///< one plane for each memory
        std::int32_t* distances;  ///< two planes and the transform's scratch for each memory

        Workspace(MemoryLayout& memory, const BoundaryPlan& plan)
            : map(memory.take<float>(plan.batch_ * plan.classes_ * plan.pixels_)),
              scratch(memory.take<float>(plan.rows_.scratch())),
              totals(memory.take<double>(2 * plan.rows_.blocks())),
              masks(memory.take<std::uint8_t>(plan.memories() * plan.pixels_)),
              distances(memory.take<std::int32_t>(plan.memories() * plan.distance_room())) {}
    };

    bool shares() const { return op_.denominator == ops::Denominator::samples; }

    std::int64_t memories() const { return std::min(batch_ * classes_, most_planes); }
    std::int64_t distance_room() const { return 2 * pixels_ + distance_scratch(rows_.width()); }

    /// One class of one image: its signed distances, times the weights of the pixels.
    void fill_distances(const std::uint8_t* all_labels, const float* weights, const Workspace& workspace,
                        std::int64_t own, std::int64_t plane) const {
        const std::int64_t c = plane % classes_;
        const std::uint8_t* const labels = all_labels + plane / classes_ * pixels_;
        std::uint8_t* const mask = workspace.masks + own * pixels_;
        std::int32_t* const to_region = workspace.distances + own * distance_room();
        std::int32_t* const to_outside = to_region + pixels_;
        std::int32_t* const scratch = to_outside + pixels_;
        const auto transform = [&](bool region, std::int32_t* squared) {
            for (std::int64_t i = 0; i < pixels_; ++i) mask[i] = (labels[i] == c) == region ? 1 : 0;
            squared_distances(mask, rows_.height(), rows_.width(), squared, scratch);
            return squared[0] != no_distance;
        };
        float* const map = workspace.map + plane * pixels_;
        if (!transform(true, to_region) || !transform(false, to_outside)) {
            std::fill_n(map, pixels_, 0.0f);
            return;
        }
        for (std::int64_t i = 0; i < pixels_; ++i) {
            const double distance = formulas::signed_distance(to_region[i], to_outside[i]);
            const bool valid = formulas::is_valid_label(labels[i], classes_);
            map[i] = valid ? weights[labels[i]] * static_cast<float>(distance) : 0.0f;
        }
    }

    ops::Boundary op_;
    ClassRows rows_;
    std::int64_t classes_, batch_;
    std::int64_t pixels_;  ///< of a label map
};

}  // namespace

Offer make_boundary(const device::PlanRequest& request) {
    return offer_by_type<BoundaryPlan>(request);
}

}  // namespace terrane::cpu
