#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "device/op_plan.hpp"
#include "formulas/diffusion.hpp"
#include "formulas/discrepancy.hpp"

/// What is gathered before the pairs of ops::KernelDiscrepancy are summed; gather() and collect_targets() are
/// for hosts. Everything a rank contributes is a list of doubles, so that summing the lists over ranks joins
/// the contributions.
namespace terrane::formulas {

/// Places in that list: the weight; the drawn shares, K numbers and a 1 each; the counts of the atoms, or the
/// drawn targets like the shares. It covers one group: all of a rank's samples or, with scope image, one.
class DiscrepancyList {
  public:
    DiscrepancyList(const ops::KernelDiscrepancy& op, const Shape& shares)
        : op_(op),
          classes(shares.channels()),
          sample_pixels(shares.height() * shares.width()),
          groups(op.scope == ops::KernelDiscrepancy::Scope::image ? shares.batch() : 1),
          own_pixels(shares.pixels() / groups),
          slots(op.scope == ops::KernelDiscrepancy::Scope::global ? op.max_samples
                                                                  : std::min(op.max_samples, own_pixels)),
          targets(sampled() ? slots : op.atoms(classes)) {}

    TERRANE_HOST_DEVICE bool sampled() const {
        return op_.targets == ops::KernelDiscrepancy::Targets::sampled;
    }
    TERRANE_HOST_DEVICE std::int64_t size() const {
        return 1 + slots * (classes + 1) + targets * (sampled() ? classes + 1 : 1);
    }
    TERRANE_HOST_DEVICE double* share(double* list, std::int64_t slot) const {
        return list + 1 + slot * (classes + 1);
    }
    TERRANE_HOST_DEVICE double* target(double* list, std::int64_t place) const {
        return list + 1 + slots * (classes + 1) + place * (sampled() ? classes + 1 : 1);
    }

    /// Which of the group's own pixels slot `slot` draws; -1 if it belongs to another rank or there are fewer
    /// pixels than slots. `which`: 0 for shares, 1 for targets.
    class Draw {
      public:
        TERRANE_HOST_DEVICE Draw(const DiscrepancyList& list, const device::StepState& step,
                                 std::int64_t group, int which)
            : pixels_(list.pass_pixels(step)),
              first_(list.global() ? (step.first_sample - step.pass_first) * list.sample_pixels : 0),
              own_(list.own_pixels),
              shuffle_(step.seed, list.stream(step, group, which), pixels_) {}
        TERRANE_HOST_DEVICE std::int64_t operator()(std::int64_t slot) const {
            if (slot >= pixels_) return -1;
            const std::int64_t pixel = shuffle_(slot) - first_;
            return pixel >= 0 && pixel < own_ ? pixel : -1;
        }

      private:
        std::int64_t pixels_, first_, own_;
        Shuffle shuffle_;
    };

    /// Writes this rank's contribution to a group. shares(i), targets(i): element i of the group as a double;
    /// weights[c].
    template <typename Shares, typename TargetsOf, typename Weights>
    void gather(const device::StepState& step, std::int64_t group, const Shares& shares,
                const TargetsOf& truths, const Weights& weights, double* list, double* pixel) const {
        std::fill(list, list + size(), 0.0);
        const auto read = [&](const auto& source, std::int64_t at) {
            for (std::int64_t c = 0; c < classes; ++c) pixel[c] = source(at * classes + c);
        };
        const auto valid = [&] {
            double sum = 0;
            for (std::int64_t c = 0; c < classes; ++c) sum += pixel[c];
            return op_.void_pixels == ops::VoidPixels::zero_vector || sum > 0;
        };
        for (std::int64_t at = 0; at < own_pixels; ++at) {
            read(truths, at);
            list[0] += pixel_weight(pixel, weights, classes, op_.void_pixels);
            if (!sampled() && valid()) *target(list, atom_of(pixel, classes, op_.parts)) += 1;
        }
        const auto draw = [&](int which, const auto& source, const auto& place_of) {
            const Draw draws(*this, step, group, which);
            for (std::int64_t slot = 0; slot < slots; ++slot) {
                const std::int64_t at = draws(slot);
                if (at < 0) continue;
                read(truths, at);
                if (!valid()) continue;
                read(source, at);
                double* const place = place_of(slot);
                std::copy(pixel, pixel + classes, place);
                place[classes] = 1;
            }
        };
        draw(0, shares, [&](std::int64_t slot) { return share(list, slot); });
        if (sampled()) draw(1, truths, [&](std::int64_t slot) { return target(list, slot); });
    }

    /// The target vectors that occur, with their counts, as K numbers and the count each. `vector`: room for
    /// K.
    void collect_targets(double* list, double* vector, std::vector<double>& vectors) const {
        vectors.clear();
        for (std::int64_t place = 0; place < targets; ++place) {
            const double* const entry = target(list, place);
            const double count = sampled() ? entry[classes] : entry[0];
            if (count == 0) continue;
            if (sampled()) {
                std::copy(entry, entry + classes, vector);
            } else {
                vector_of_atom(place, classes, op_.parts, vector);
            }
            vectors.insert(vectors.end(), vector, vector + classes);
            vectors.push_back(count);
        }
    }

    TERRANE_HOST_DEVICE bool global() const { return op_.scope == ops::KernelDiscrepancy::Scope::global; }

  private:
    TERRANE_HOST_DEVICE std::int64_t pass_pixels(const device::StepState& step) const {
        return global() && step.pass_samples > 0 ? step.pass_samples * sample_pixels : own_pixels;
    }
    TERRANE_HOST_DEVICE std::uint64_t stream(const device::StepState& step, std::int64_t group,
                                             int which) const {
        const auto first = static_cast<std::uint64_t>(global() ? step.pass_first : step.first_sample + group);
        return (static_cast<std::uint64_t>(step.step) * 2 + static_cast<std::uint64_t>(which)) ^ (first + 1)
                                                                                                     << 40;
    }

    ops::KernelDiscrepancy op_;

  public:
    std::int64_t classes, sample_pixels;
    std::int64_t groups;      ///< of this rank's samples, each with a list and a T of its own
    std::int64_t own_pixels;  ///< of a group
    std::int64_t slots;
    std::int64_t targets;  ///< places for targets
};

}  // namespace terrane::formulas
