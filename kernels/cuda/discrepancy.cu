// The kernel discrepancy of class shares: what is drawn is listed, then every pair of a group is met once, a
// block per row. Groups (the samples, or all of them as one) lie behind each other in every array.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/discrepancy_draw.hpp"

namespace terrane::cuda {

namespace {

using formulas::DiscrepancyList;

constexpr std::int64_t most_classes = 256;

struct Inputs {
    Floats shares;
    const float *targets, *weights;
    ops::VoidPixels void_pixels;

    TERRANE_HOST_DEVICE bool is_valid(std::int64_t pixel, std::int64_t classes) const {
        float sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += targets[pixel * classes + c];
        return void_pixels == ops::VoidPixels::zero_vector || sum > 0;
    }
};

struct ClearLists {
    double* lists;
    std::int64_t* counts;
    std::int64_t size, atoms;  ///< of all groups

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        if (i < size) lists[i] = 0;
        if (i < atoms) counts[i] = 0;
    }
};

struct PixelWeights {
    static constexpr int sums = 1;
    DiscrepancyList places;
    Inputs in;
    double* lists;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t pixel, double (&own)[1]) const {
        const float* truth = in.targets + (group * places.own_pixels + pixel) * places.classes;
        own[0] +=
            static_cast<double>(formulas::pixel_weight(truth, in.weights, places.classes, in.void_pixels));
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        lists[group * places.size()] = total[0];
    }
};

struct CountAtoms {
    DiscrepancyList places;
    Inputs in;
    std::int64_t parts;
    std::int64_t* counts;  ///< [groups, atoms]

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const std::int64_t group = pixel / places.own_pixels, classes = places.classes;
        if (!in.is_valid(pixel, classes)) return;
        count_up(
            counts + group * places.targets + formulas::atom_of(in.targets + pixel * classes, classes, parts),
            1);
    }
};

struct ListAtoms {
    DiscrepancyList places;
    const std::int64_t* counts;
    double* lists;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        double* list = lists + i / places.targets * places.size();
        *places.target(list, i % places.targets) = static_cast<double>(counts[i]);
    }
};

/// Lists the pixel that a slot draws: shares, or targets.
struct DrawSlot {
    DiscrepancyList places;
    Inputs in;
    const device::StepState* step;
    double* lists;
    bool draws_targets;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t group = i / places.slots, slot = i % places.slots, classes = places.classes;
        const DiscrepancyList::Draw draw(places, *step, group, draws_targets ? 1 : 0);
        const std::int64_t drawn = draw(slot), at = group * places.own_pixels + drawn;
        if (drawn < 0 || !in.is_valid(at, classes)) return;
        double* list = lists + group * places.size();
        double* const place = draws_targets ? places.target(list, slot) : places.share(list, slot);
        for (std::int64_t c = 0; c < classes; ++c) {
            const std::int64_t element = at * classes + c;
            place[c] = static_cast<double>(draws_targets ? in.targets[element] : in.shares[element]);
        }
        place[classes] = 1;
    }
};

/// All that takes part in a group's pairs: the drawn shares, then the target vectors, with how often each
/// counts.
struct Members {
    DiscrepancyList places;
    double* list;
    float* vectors;  ///< [slots + targets, classes]
    float* counts;   ///< [slots + targets]

    TERRANE_HOST_DEVICE std::int64_t count() const { return places.slots + places.targets; }
    /// From the first group's members those of another.
    TERRANE_HOST_DEVICE Members of(std::int64_t group) const {
        return {places, list + group * places.size(), vectors + group * count() * places.classes,
                counts + group * count()};
    }
    TERRANE_HOST_DEVICE float squared_distance(std::int64_t a, std::int64_t b) const {
        float sum = 0;
        for (std::int64_t c = 0; c < places.classes; ++c) {
            const float difference = vectors[a * places.classes + c] - vectors[b * places.classes + c];
            sum += difference * difference;
        }
        return sum;
    }
};

struct UnpackMember {
    Members all;
    std::int64_t parts;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const Members members = all.of(item / all.count());
        const std::int64_t i = item % all.count();
        const DiscrepancyList& places = members.places;
        float* own = members.vectors + i * places.classes;
        const bool is_share = i < places.slots;
        const double* place =
            is_share ? places.share(members.list, i) : places.target(members.list, i - places.slots);
        if (!is_share && !places.sampled()) {
            formulas::vector_of_atom(i - places.slots, places.classes, parts, own);
            members.counts[i] = static_cast<float>(place[0]);
            return;
        }
        for (std::int64_t c = 0; c < places.classes; ++c) own[c] = static_cast<float>(place[c]);
        members.counts[i] = static_cast<float>(place[places.classes]);
    }
};

/// n, the shares, and m, the targets.
struct CountMembers {
    static constexpr int sums = 2;
    Members all;
    double* totals;  ///< [groups, 2]

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t i, double (&own)[2]) const {
        own[i < all.places.slots ? 0 : 1] += static_cast<double>(all.counts[group * all.count() + i]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[2]) const {
        totals[2 * group] = total[0];
        totals[2 * group + 1] = total[1];
    }
};

/// How pairs of a row enter T, and the pull on the row's share: by the kind of the other member, times its
/// count.
struct PairFactors {
    double share = 0, target = 0, pull_share = 0, pull_target = 0;
};

/// Row i of a group's pairs: its part of T, and for a share the gradient of T, both times the group's weight.
/// A thread meets every 256th member and carries a few classes of the gradient; more classes take further
/// rounds.
struct MeetAll {
    static constexpr int threads = block_threads;
    static constexpr int slab = 8;  ///< classes per round
    struct Shared {
        double values[1 + slab][block_threads];
    };
    Members all;
    formulas::DiscrepancyKernel<float> kernel;
    ops::KernelDiscrepancy::Estimator estimator;
    const device::StepState* step;
    const double* all_totals;  ///< n and m of every group
    double* rows;              ///< [groups, slots + targets]
    double* gradients;         ///< [groups, slots, classes] or null

    TERRANE_HOST_DEVICE bool unbiased() const {
        return estimator == ops::KernelDiscrepancy::Estimator::unbiased;
    }
    /// `count`: of the row. The cross term counts every share once, the pairs of shares each twice: its pull
    /// enters half as often.
    TERRANE_HOST_DEVICE PairFactors factors(bool is_share, const double* totals, double count) const {
        const double n = totals[0], m = totals[1];
        if (!is_share) return {0, count / formulas::pair_count(estimator, m), 0, 0};
        const double share = 1 / formulas::pair_count(estimator, n), cross = 1 / (n * m);
        return {share, -2 * cross, share, -cross};
    }
    /// Whether this rank adds up the row: its own shares; the targets, which all ranks know, once.
    TERRANE_HOST_DEVICE bool takes(const Members& members, const double* totals, std::int64_t group,
                                   std::int64_t row) const {
        const DiscrepancyList& places = members.places;
        if (members.counts[row] == 0) return false;
        if (!(formulas::pair_count(estimator, totals[0]) > 0) ||
            !(formulas::pair_count(estimator, totals[1]) > 0)) {
            return false;
        }
        if (row < places.slots) return DiscrepancyList::Draw(places, *step, group, 0)(row) >= 0;
        return !places.global() || step->first_sample == step->pass_first;
    }
    /// How often another member counts for the row. Shares that were drawn count once.
    TERRANE_HOST_DEVICE double count_for(const Members& members, std::int64_t row, std::int64_t other) const {
        const bool itself = row == other && unbiased();
        const double count = static_cast<double>(members.counts[other]);
        if (other < members.places.slots) return count == 0 || itself ? 0 : 1;
        return itself ? count - 1 : count;
    }

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        const std::int64_t group = index / all.count(), row = index % all.count();
        const Members members = all.of(group);
        const double* totals = all_totals + 2 * group;
        const std::int64_t slots = members.places.slots, classes = members.places.classes;
        const bool is_share = row < slots, taken = takes(members, totals, group, row);
        const bool pulls = is_share && gradients != nullptr;
        const PairFactors own = factors(is_share, totals, static_cast<double>(members.counts[row]));
        // A row of the targets meets targets only.
        const std::int64_t first = is_share ? 0 : slots;
        for (std::int64_t begin = 0; begin == 0 || (pulls && begin < classes); begin += slab) {
            const std::int64_t end = begin + slab < classes ? begin + slab : classes;
            team.each([&](int thread) {
                double total = 0, gradient[slab] = {};
                for (std::int64_t other = first + thread; taken && other < members.count();
                     other += threads) {
                    const double count = count_for(members, row, other);
                    if (count == 0) continue;
                    const bool met_share = other < slots;
                    const auto value = formulas::kernel_value(kernel, members.squared_distance(row, other));
                    total += (met_share ? own.share : own.target) * count * static_cast<double>(value.value);
                    if (!pulls) continue;
                    const double weight = (met_share ? own.pull_share : own.pull_target) * count;
                    const float pull = static_cast<float>(2 * weight) * value.pull;
                    for (int k = 0; k < slab; ++k) {
                        if (begin + k >= end) break;
                        gradient[k] -=
                            static_cast<double>(pull * (members.vectors[row * classes + begin + k] -
                                                        members.vectors[other * classes + begin + k]));
                    }
                }
                team.shared.values[0][thread] = total;
                for (int k = 0; k < slab; ++k) team.shared.values[1 + k][thread] = gradient[k];
            });
            for (int half = threads / 2; half > 0; half /= 2) {
                team.each([&](int thread) {
                    if (thread >= half) return;
                    for (auto& values : team.shared.values) values[thread] += values[thread + half];
                });
            }
            team.each([&](int thread) {
                if (thread == 0 && begin == 0) rows[index] = members.list[0] * team.shared.values[0][0];
                if (pulls && begin + thread < end) {
                    gradients[(group * slots + row) * classes + begin + thread] =
                        members.list[0] * team.shared.values[1 + thread][0];
                }
            });
        }
    }
};

struct AddRows {
    static constexpr int sums = 1;
    const double* rows;
    double* output;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t i, double (&own)[1]) const { own[0] += rows[i]; }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const {
        output[0] = total[0];
        output[1] = 0;
    }
};

struct ClearGradient {
    FloatsOut dp;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const { dp.store(i, 0); }
};

struct ScatterGradient {
    DiscrepancyList places;
    const device::StepState* step;
    const double* saved;
    double loss_weight;
    FloatsOut dp;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t group = i / places.slots;
        const std::int64_t at = DiscrepancyList::Draw(places, *step, group, 0)(i % places.slots);
        if (at < 0) return;
        for (std::int64_t c = 0; c < places.classes; ++c) {
            dp.store((group * places.own_pixels + at) * places.classes + c,
                     static_cast<float>(loss_weight * saved[i * places.classes + c]));
        }
    }
};

/// Saved: per group and slot W times the gradient of T by the drawn share.
class KernelDiscrepancyPlan final : public KernelPlan<ops::KernelDiscrepancy> {
  public:
    KernelDiscrepancyPlan(const ops::KernelDiscrepancy& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          places_(op_, input_shape(0)),
          pixels_(places_.groups, places_.own_pixels),
          members_(places_.groups, places_.slots + places_.targets),
          rows_(1, members_.groups * members_.items) {
        requirements_.gradient_terms = 1;
        if (places_.global()) requirements_.forward_exchange = places_.size();
        requirements_.forward_workspace =
            (places_.global() ? 0 : carved<double>(places_.groups * places_.size())) +
            carved<std::int64_t>(atoms()) + carved<float>(rows_.items * places_.classes) +
            carved<float>(rows_.items) + carved<double>(rows_.items) + carved<double>(2 * places_.groups) +
            std::max({pixels_.bytes(1), members_.bytes(2), rows_.bytes(1)});
        if (trains())
            requirements_.saved = static_cast<std::size_t>(slots() * places_.classes) * sizeof(double);
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        double* lists =
            places_.global() ? arguments.exchange : workspace.take<double>(places_.groups * places_.size());
        auto* counts = workspace.take<std::int64_t>(atoms());
        const Members members{places_, lists, workspace.take<float>(rows_.items * places_.classes),
                              workspace.take<float>(rows_.items)};
        auto* rows = workspace.take<double>(rows_.items);
        auto* totals = workspace.take<double>(2 * places_.groups);
        auto* partials = workspace.take_doubles(0);
        if (arguments.phase != device::Phase::after_exchange) gather(arguments, lists, counts, partials);
        if (arguments.phase == device::Phase::before_exchange) return;
        launch(queue_, rows_.items, UnpackMember{members, op_.parts});
        launch_sums(queue_, members_, partials, CountMembers{members, totals});
        launch_teams(queue_, rows_.items,
                     MeetAll{members, formulas::discrepancy_kernel<float>(op_, places_.classes),
                             op_.estimator, arguments.step, totals, rows,
                             trains() ? reinterpret_cast<double*>(arguments.saved) : nullptr});
        launch_sums(queue_, rows_, partials, AddRows{rows, arguments.outputs[0].as<double>()});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const FloatsOut dp = floats_out(arguments.input_gradients[0].view);
        launch(queue_, input_shape(0).elements(), ClearGradient{dp});
        launch(queue_, slots(),
               ScatterGradient{places_, arguments.step, reinterpret_cast<const double*>(arguments.saved),
                               op_.loss_weight, dp});
    }

  private:
    /// Of all groups.
    std::int64_t atoms() const { return places_.sampled() ? 0 : places_.groups * places_.targets; }
    std::int64_t slots() const { return places_.groups * places_.slots; }

    void gather(const device::ForwardArguments& arguments, double* lists, std::int64_t* counts,
                double* partials) const {
        const Inputs in{floats(arguments.inputs[0]), arguments.inputs[1].as<float>(),
                        arguments.inputs[2].as<float>(), op_.void_pixels};
        const std::int64_t size = places_.groups * places_.size();
        launch(queue_, size, ClearLists{lists, counts, size, atoms()});
        launch_sums(queue_, pixels_, partials, PixelWeights{places_, in, lists});
        launch(queue_, slots(), DrawSlot{places_, in, arguments.step, lists, false});
        if (places_.sampled()) {
            launch(queue_, slots(), DrawSlot{places_, in, arguments.step, lists, true});
            return;
        }
        launch(queue_, input_shape(0).pixels(), CountAtoms{places_, in, op_.parts, counts});
        launch(queue_, atoms(), ListAtoms{places_, counts, lists});
    }

    DiscrepancyList places_;
    SumGeometry pixels_, members_, rows_;  ///< rows_: the members of all groups
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::KernelDiscrepancy& op,
                                             const device::PlanRequest& request, Queue queue) {
    const std::vector<TensorSpec>& inputs = request.descriptor.inputs;
    const bool other_types = inputs[0].dtype == DType::f64 || inputs[1].dtype != DType::f32;
    if (other_types || inputs[0].shape.channels() > most_classes) return nullptr;
    return std::make_unique<KernelDiscrepancyPlan>(op, request, queue);
}

}  // namespace terrane::cuda
