// The boundary loss: exact distances to each class's region, then one pass over the label pixels.
#include "cuda/slope_map.hpp"

namespace terrane::cuda {

namespace {

/// Distance along a column where there is nothing to be near to.
constexpr std::int32_t nowhere = 1 << 20;

/// One column of one image: how far the nearest pixel inside and outside the class's region is, up or down.
struct ColumnDistances {
    const std::uint8_t* labels;
    std::int64_t height, width, c;
    std::int32_t *to_region, *to_outside;  ///< [images, height, width]

    TERRANE_HOST_DEVICE void operator()(std::int64_t index) const {
        const std::int64_t first = index / width * height * width + index % width;
        std::int32_t region = nowhere, outside = nowhere;
        for (std::int64_t row = 0; row < height; ++row) {
            const std::int64_t i = first + row * width;
            step(i, region, outside);
            to_region[i] = region;
            to_outside[i] = outside;
        }
        region = outside = nowhere;
        for (std::int64_t row = height - 1; row >= 0; --row) {
            const std::int64_t i = first + row * width;
            step(i, region, outside);
            if (region < to_region[i]) to_region[i] = region;
            if (outside < to_outside[i]) to_outside[i] = outside;
        }
    }
    TERRANE_HOST_DEVICE void step(std::int64_t i, std::int32_t& region, std::int32_t& outside) const {
        const bool inside = labels[i] == c;
        region = inside ? 0 : (region < nowhere ? region + 1 : nowhere);
        outside = inside ? (outside < nowhere ? outside + 1 : nowhere) : 0;
    }
};

/// The squared distance from a place in a row, over all columns, nearest first; negative if there is none.
TERRANE_HOST_DEVICE inline std::int64_t squared_distance(const std::int32_t* row, std::int64_t width,
                                                         std::int64_t column) {
    std::int64_t best = -1;
    for (std::int64_t away = 0; away < width && (best < 0 || away * away < best); ++away) {
        for (int side = 0; side < 2; ++side) {
            const std::int64_t at = side == 0 ? column - away : column + away;
            if (at < 0 || at >= width || row[at] >= nowhere) continue;
            const std::int64_t found = away * away + static_cast<std::int64_t>(row[at]) * row[at];
            if (best < 0 || found < best) best = found;
        }
    }
    return best;
}

struct SignedDistances {
    const std::int32_t *to_region, *to_outside;
    std::int64_t width, c, classes;
    float* map;  ///< [pixels, classes]

    TERRANE_HOST_DEVICE void operator()(std::int64_t place) const {
        const std::int64_t column = place % width, row = place - column;
        const std::int64_t region = squared_distance(to_region + row, width, column);
        const std::int64_t outside = squared_distance(to_outside + row, width, column);
        // A class that an image lacks or that fills it has no boundary.
        map[place * classes + c] = region < 0 || outside < 0
                                       ? 0.0f
                                       : static_cast<float>(formulas::signed_distance(
                                             static_cast<double>(region), static_cast<double>(outside)));
    }
};

/// Turns distances into slopes and adds up the loss.
template <typename T>
struct BoundarySums {
    static constexpr int sums = 2;
    ClassMaps<T> maps;
    const float* weights;
    float* map;
    float loss_weight;
    LossTotals totals;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t place, double (&own)[2]) const {
        if (!maps.is_valid(place)) return;
        float logits[most_classes];
        maps.read(place, logits);
        const auto normaliser = formulas::softmax_normaliser(logits, maps.classes);
        const float weight = weights[maps.label(place)];
        for (std::int64_t c = 0; c < maps.classes; ++c) {
            float& slope = map[place * maps.classes + c];
            slope *= weight;
            own[0] += static_cast<double>(slope * normaliser.probability(logits[c]));
            slope *= loss_weight;
        }
        own[1] += static_cast<double>(weight);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[2]) const {
        totals.put(total[0], total[1]);
    }
};

template <typename T>
class BoundaryPlan final : public SlopeMapPlan<T, ops::Boundary> {
  public:
    BoundaryPlan(const ops::Boundary& op, const device::PlanRequest& request, Queue queue)
        : SlopeMapPlan<T, ops::Boundary>(op, request, queue) {
        this->requirements_.forward_workspace = 2 * carved<std::int32_t>(this->pixels_) +
                                                (this->trains() ? 0 : carved<float>(this->elements_)) +
                                                this->sums_.bytes(2);
        this->reserve_share();
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (this->takes_share(arguments)) return;
        Carver workspace(arguments.workspace);
        auto* to_region = workspace.take<std::int32_t>(this->pixels_);
        auto* to_outside = workspace.take<std::int32_t>(this->pixels_);
        auto* map = this->trains() ? reinterpret_cast<float*>(arguments.saved)
                                   : workspace.take<float>(this->elements_);
        auto* partials = workspace.take_doubles(0);
        const ClassMaps<T> maps = this->maps(arguments.inputs);
        for (std::int64_t c = 0; c < this->classes_; ++c) {
            launch(this->queue_, maps.batch * maps.width,
                   ColumnDistances{maps.labels, maps.height, maps.width, c, to_region, to_outside});
            launch(this->queue_, this->pixels_,
                   SignedDistances{to_region, to_outside, maps.width, c, this->classes_, map});
        }
        launch_sums(this->queue_, this->sums_, partials,
                    BoundarySums<T>{maps, arguments.inputs[2].template as<float>(), map,
                                    static_cast<float>(this->op_.loss_weight), this->totals(arguments)});
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Boundary& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (!has_class_kernels(request)) return nullptr;
    return make_typed<BoundaryPlan>(op, request, queue);
}

}  // namespace terrane::cuda
