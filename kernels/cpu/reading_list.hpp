#pragma once

#include <cstdint>
#include <vector>

#include "cpu/isa.hpp"
#include "formulas/bilinear.hpp"

namespace terrane::cpu {

/// Bilinear interpolation along one axis, both ways round: what each target reads, and which targets read
/// each source with what weight. Made once per plan.
class ReadingList {
  public:
    ReadingList(std::int64_t source_count, std::int64_t target_count, ops::Corners corners)
        : sources(source_count), targets(target_count) {
        for (std::int64_t target = 0; target < targets; ++target) {
            taps_.push_back(formulas::tap<float>(target, sources, targets, corners));
        }
        for (std::int64_t source = 0; source < sources; ++source) {
            const formulas::Range range = formulas::targets_reading(source, sources, targets, corners);
            readers_.push_back({range.begin, range.end, static_cast<std::int64_t>(weights_.size())});
            for (std::int64_t target = range.begin; target < range.end; ++target) {
                weights_.push_back(formulas::reading_weight(taps_[static_cast<std::size_t>(target)], source));
            }
        }
    }

    const formulas::Tap<float>* taps() const { return taps_.data(); }

    TERRANE_INLINE std::int64_t begin(std::int64_t source) const { return readers_.data()[source].begin; }
    TERRANE_INLINE std::int64_t end(std::int64_t source) const { return readers_.data()[source].end; }
    /// The weight with which `target`, within [begin, end), reads `source`.
    TERRANE_INLINE float weight(std::int64_t source, std::int64_t target) const {
        const Readers& readers = readers_.data()[source];
        return weights_.data()[readers.weights + target - readers.begin];
    }

    std::int64_t sources, targets;

  private:
    struct Readers {
        std::int64_t begin, end;
        std::int64_t weights;  ///< where the weights of [begin, end) start
    };

    std::vector<formulas::Tap<float>> taps_;
    std::vector<Readers> readers_;
    std::vector<float> weights_;
};

}  // namespace terrane::cpu
