#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace terrane::report {

/// Counts of scored pixels by truth and prediction. Whole numbers: summing the matrices of all ranks gives
/// the same scores for any number of ranks.
class ConfusionMatrix {
  public:
    explicit ConfusionMatrix(std::int64_t classes);

    void add(std::int64_t truth, std::int64_t prediction, std::int64_t pixels = 1);
    std::int64_t at(std::int64_t truth, std::int64_t prediction) const;
    std::int64_t classes() const { return classes_; }
    /// [truth][prediction], row by row; writable, for sums over ranks.
    std::span<std::int64_t> counts() { return counts_; }
    std::span<const std::int64_t> counts() const { return counts_; }

  private:
    std::int64_t classes_;
    std::vector<std::int64_t> counts_;
};

/// With TP, FP, FN of the class (pixels): a score whose denominator is 0 has no value.
struct ClassScores {
    std::int64_t truth_pixels = 0;      ///< TP + FN
    std::int64_t predicted_pixels = 0;  ///< TP + FP
    std::optional<double> iou;  ///< TP / (TP + FP + FN); none: the class is absent from truth and prediction
    std::optional<double> precision;  ///< TP / (TP + FP); none: never predicted
    std::optional<double> recall;     ///< TP / (TP + FN); none: not in the truth
    std::optional<double> f1;         ///< 2 TP / (2 TP + FP + FN); none: as iou

    bool absent() const { return truth_pixels == 0 && predicted_pixels == 0; }
};

struct Scores {
    std::int64_t pixels = 0;
    double oa = 0;    ///< overall accuracy: sum of TP / pixels
    double miou = 0;  ///< mean IoU over the classes that are not absent
    double mf1 = 0;   ///< mean F1 over the classes that are not absent
    double kappa =
        0;  ///< Cohen: (oa - e) / (1 - e), e = sum over classes of truth * predicted / pixels^2; 0 if e = 1
    std::vector<ClassScores> classes;

    /// The value of a score by its name in the configuration: miou, mf1, oa or kappa.
    double by_name(const std::string& name) const;
};

/// Throws Error E0320 (65) if no pixel was scored.
Scores score(const ConfusionMatrix& matrix);

}  // namespace terrane::report
