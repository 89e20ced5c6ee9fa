#include "report/metrics.hpp"

#include "base/error.hpp"

namespace terrane::report {

ConfusionMatrix::ConfusionMatrix(std::int64_t classes)
    : classes_(classes), counts_(static_cast<std::size_t>(classes * classes)) {
    TERRANE_ASSERT(classes > 0, "a confusion matrix of {} classes", classes);
}

void ConfusionMatrix::add(std::int64_t truth, std::int64_t prediction, std::int64_t pixels) {
    TERRANE_ASSERT(truth >= 0 && truth < classes_ && prediction >= 0 && prediction < classes_,
                   "truth {} and prediction {} of {} classes", truth, prediction, classes_);
    counts_[static_cast<std::size_t>(truth * classes_ + prediction)] += pixels;
}

std::int64_t ConfusionMatrix::at(std::int64_t truth, std::int64_t prediction) const {
    return counts_[static_cast<std::size_t>(truth * classes_ + prediction)];
}

double Scores::by_name(const std::string& name) const {
    if (name == "miou") return miou;
    if (name == "mf1") return mf1;
    if (name == "oa") return oa;
    if (name == "kappa") return kappa;
    throw Error(ExitCode::usage, 106, fmt::format("\"{}\" is no score.", name),
                "Scores are miou, mf1, oa and kappa.");
}

Scores score(const ConfusionMatrix& matrix) {
    Scores scores;
    const std::int64_t classes = matrix.classes();
    scores.classes.resize(static_cast<std::size_t>(classes));
    std::int64_t correct = 0;
    for (std::int64_t truth = 0; truth < classes; ++truth) {
        for (std::int64_t prediction = 0; prediction < classes; ++prediction) {
            const std::int64_t pixels = matrix.at(truth, prediction);
            scores.classes[static_cast<std::size_t>(truth)].truth_pixels += pixels;
            scores.classes[static_cast<std::size_t>(prediction)].predicted_pixels += pixels;
            scores.pixels += pixels;
        }
        correct += matrix.at(truth, truth);
    }
    if (scores.pixels == 0) {
        throw Error(ExitCode::data_invalid, 320,
                    "no pixel of the split could be scored: all are ignored or masked.",
                    "Check label.ignore, the label files and the split.");
    }

    const auto ratio = [](std::int64_t part, std::int64_t whole) {
        return whole == 0 ? std::nullopt
                          : std::optional<double>(static_cast<double>(part) / static_cast<double>(whole));
    };
    const double pixels = static_cast<double>(scores.pixels);
    double chance = 0;
    std::int64_t present = 0;
    for (std::int64_t i = 0; i < classes; ++i) {
        ClassScores& own = scores.classes[static_cast<std::size_t>(i)];
        const std::int64_t hits = matrix.at(i, i);
        own.iou = ratio(hits, own.truth_pixels + own.predicted_pixels - hits);
        own.precision = ratio(hits, own.predicted_pixels);
        own.recall = ratio(hits, own.truth_pixels);
        own.f1 = ratio(2 * hits, own.truth_pixels + own.predicted_pixels);
        chance += static_cast<double>(own.truth_pixels) / pixels *
                  (static_cast<double>(own.predicted_pixels) / pixels);
        if (own.absent()) continue;
        ++present;
        scores.miou += *own.iou;
        scores.mf1 += *own.f1;
    }
    scores.oa = static_cast<double>(correct) / pixels;
    scores.miou /= static_cast<double>(present);
    scores.mf1 /= static_cast<double>(present);
    scores.kappa = chance < 1 ? (scores.oa - chance) / (1 - chance) : 0;
    return scores;
}

}  // namespace terrane::report
